"""Run notebooks from top to bottom, and store them with their outputs.

    python tests/tools/store_notebooks.py                       all of the walkthrough
    python tests/tools/store_notebooks.py notebooks/00*.ipynb   these

What is stored is what a reader without a kernel can see, and what nbval compares: no widget state, and
no reference to a widget, which JupyterLab could only show as an error before the notebook is run; the
widget's text stands in its place. Nothing is stored that differs from one run, or machine, to the next.
Refuses to store a notebook that fails, or that writes to stderr.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from labkit.probe import children

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
KEPT = ("tags", "labkit")
"""Of a cell's metadata: what nbval and the short path go by, and what can be chosen as an answer."""

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The outputs, with what was printed in one piece: it arrives in as many as the moment wills."""
    whole: list[nbformat.NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and whole and whole[-1].get("name") == output.name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def store(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=120,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key in KEPT}
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise SystemExit(f"{path}: cell {cell.id} wrote to stderr:\n{output.text}")
            data = output.get("data", {})
            data.pop(WIDGET, None)
            if "image/png" in data:  # the HTML of a plot holds the same image once more
                data.pop("text/html", None)
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
    notebook.metadata = nbformat.from_dict(METADATA)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    children.mark_all()  # the kernels
    for path in [Path(name) for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("[01]*.ipynb")):
        store(path.resolve())
        print(f"stored {path}")
