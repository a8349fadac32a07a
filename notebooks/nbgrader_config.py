"""nbgrader's settings for this course: copy the file into the folder of your course, and change the dates.

nbgrader reads it wherever a command of its is run in that folder. TEACHING.md tells the commands.
"""

import math

from nbgrader.plugins import BasePlugin
from traitlets import Float

c = get_config()  # noqa: F821  # nbgrader gives it

c.CourseDirectory.course_id = "chat-lab"

# Seconds that a cell may take. A check ends by itself; judge, which runs fourteen servers, takes longest,
# some minutes on a busy machine. A cell that took longer is an error there, and the next cell runs.
c.Execute.timeout = 600
c.Execute.interrupt_on_timeout = True

# When an assignment is due that `nbgrader db assignment add NAME` adds, or changes; one may have a date of
# its own: --duedate "2027-02-26 18:00:00 UTC". nbgrader compares it with the submission's timestamp.txt.
c.DbAssignmentAddApp.duedate = "2027-06-30 21:59:59 UTC"


class LateByTheDay(BasePlugin):
    """Takes a part of the score for each day that has begun since the assignment was due."""

    per_day = Float(0.1, help="the part of the score that a day costs").tag(config=True)
    grace = Float(900.0, help="seconds late that cost nothing").tag(config=True)

    def late_submission_penalty(self, student_id, score, total_seconds_late):
        """The points to take off; None for none."""
        if total_seconds_late <= self.grace:
            return None
        days = math.ceil(total_seconds_late / 86400)
        return round(min(1.0, days * self.per_day) * score, 2)


c.AssignLatePenalties.plugin_class = LateByTheDay
c.LateByTheDay.per_day = 0.1
