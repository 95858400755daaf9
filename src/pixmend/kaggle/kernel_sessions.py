"""What was sent to Kaggle for a run, kernels.json: one entry a session, written before it is sent, so that none is sent twice."""

import re

from pixmend import files

UNDER_WAY = ("ready", "sent")
LONGEST = 30


class Sessions:
    """The sessions of a run, oldest first: number, ref, tag, flags, `here` (the step that this machine had when it was
    built), state (ready, sent, taken or failed), step, finished, failed."""

    def __init__(self, folder):
        self.path = folder / "kernels.json"
        self.all = files.read_json(self.path) or []

    def under_way(self):
        """The session that was sent and isn't home yet, or None."""
        return self.all[-1] if self.all and self.all[-1]["state"] in UNDER_WAY else None

    def newest_taken(self):
        """The session whose checkpoint the run stands on, or None."""
        return next((one for one in reversed(self.all) if one["state"] == "taken"), None)

    def next_number(self):
        return self.all[-1]["number"] + 1 if self.all else 1

    def add(self, **facts):
        self.all.append(facts | {"state": "ready", "step": 0, "finished": False, "failed": ""})
        self.save()
        return self.all[-1]

    def note(self, session, **facts):
        session.update(facts)
        self.save()

    def save(self):
        files.write_json(self.path, self.all)


def ref(user, contest, run, number):
    """The kernel's name at Kaggle, of letters that Kaggle leaves as they are; runs that look alike there differ in the hash."""
    plain = re.sub(r"[^a-z0-9]+", "-", run.lower()).strip("-")[:LONGEST].strip("-")
    return f"{user}/{plain or 'run'}-{files.fingerprint([contest, run])[:6]}-{number}"
