"""What is said before something is ended by force: at the command line and in the console."""

from __future__ import annotations

from engine import ForceCancel, JobId
from tui.text import target_name


def question(found: ForceCancel) -> str:
    return f"End #{found.job} {found.operation} on {target_name(found.target)} by force?"


def consequences(found: ForceCancel, asked: JobId) -> str:
    """In a sentence or two; `asked` may be the whole job."""
    if found.recovering:
        said = [f"Process {found.pid}, which looks after the database now, is killed: then nobody does."]
    else:
        killed = f"Its process {found.pid} is killed"
        said = [f"{killed}: what it has not finished is undone, and the database is checked for damage."]
    if found.others:
        are = "is" if len(found.others) == 1 else "are"
        others = ", ".join(f"#{job}" for job in found.others)
        said.append(f"It also runs {others}, which {are} begun again.")
    if asked.ordinal is None:
        said.append(f"What else #{asked} asks for does not start.")
    return " ".join(said)
