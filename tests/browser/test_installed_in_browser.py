"""The wheel as a student meets it: `labkit lab DIR` outside the repository, and the first notebook."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from packaged import ENVIRONMENT, build, install
from programs import Program
from support import need
from test_notebook_in_browser import CHROMIUM, ELSEWHERE, OPTIONS, run_all

from labkit.exercises.handout.own_copy import FIRST
from labkit.probe.ports import free_port


@pytest.mark.timeout(900)
def test_the_copy_runs(tmp_path: Path) -> None:
    """Run All runs to the end without an error, on the labkit that was installed; the panels are there."""
    need(importlib.util.find_spec("playwright"), "playwright is not installed (pip install playwright)")
    need(Path(CHROMIUM).exists(), f"there is no Chromium at {CHROMIUM}")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)
    installed = install(build(tmp_path).wheel, tmp_path)
    port = str(free_port())
    share = Path(sys.prefix, "share", "jupyter")  # what JupyterLab consists of is used from where it is
    environment = {
        **ENVIRONMENT,
        **{f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")},
        **{"IPYTHONDIR": str(tmp_path / "ipython"), "COVERAGE_PROCESS_START": ""},
        **{"JUPYTERLAB_DIR": str(share / "lab"), "JUPYTER_PATH": str(share)},
    }
    copy = tmp_path / "my notebooks"
    command = [str(installed.script), "lab", str(copy), "--no-browser", "--port", port]
    with Program(*command, environment=environment) as lab, sync_playwright() as playwright:
        address = re.search(r"http://localhost:\S+", lab.until("Ctrl-C ends JupyterLab."))
        assert address
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS.split())
        page: Any = browser.new_page(viewport={"width": 1360, "height": 1000})
        page.set_default_timeout(120_000)
        page.route(ELSEWHERE, lambda route: route.abort())
        page.goto(address[0])
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        run_all(page)
        for kind in ("stderr", "error"):
            expect(page.locator(f"[data-mime-type='application/vnd.jupyter.{kind}']")).to_have_count(0)
        assert page.locator(".labkit-panel").count() > 0
        browser.close()
        lab.interrupt()
        assert lab.ends() == 0
    assert (copy / FIRST).is_file()
