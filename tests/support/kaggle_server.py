"""Kaggle as the `kaggle` command sees it, on loopback and for one competition, able to fail in every known way.

It scores by itself (csv and numpy, nothing of src/), so that the project's own scores are checked against it.
"""

import base64
import contextlib
import csv
import io
import json
import socket
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import numpy as np

TOKEN = "KGAT_0123456789abcdef0123456789abcdef"
USER, KEY = "someone", "fedcba9876543210fedcba9876543210"
LOGINS = (f"Bearer {TOKEN}", "Basic " + base64.b64encode(f"{USER}:{KEY}".encode()).decode())
RULES = "You must accept this competition's rules before you'll be able to download files."
POLLS = ("ListSubmissions", "GetKernel")  # what a client asks for to see whether something arrived
MODIFIED = "Wed, 12 Apr 2023 10:00:00 GMT"
DATE = "2026-11-20T12:00:00.000Z"
TEAM = 77  # the user's
LEADERBOARD_PAGE = 3  # teams that one answer lists, whatever was asked for


@dataclass
class Trouble:
    """One way to fail at one call: `status`, `hang`, `drop` (nothing done), `lose` and `hang after` (done, the answer lost or
    late), `late` and `hang late` (the connection is lost, at once or late, and it is done after so many `polls`), `junk` (nothing
    done, `message` in the answer's place), for the archive `cut` (half of it, then dropped), `change` (other bytes, same
    length); or `none`."""

    kind: str
    status: int = 500
    message: str | None = None
    times: int = 10**9
    polls: int = 3


@dataclass
class KaggleServer:
    slug: str
    archive: bytes = b""
    solution: str = ""  # text of id,value,Usage
    daily_limit: int = 5
    pending_looks: int = 0  # how often a submission is listed as PENDING before its score
    error: str = ""  # every submission ends in ERROR for this reason
    submissions: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    troubles: dict = field(default_factory=dict)
    uploads: dict = field(default_factory=dict)
    names: dict = field(default_factory=dict)  # of the uploaded files
    other_teams: list = field(default_factory=list)  # public scores of other teams
    delayed: list = field(default_factory=list)  # [polls, call, request] of what is done later
    starts: list = field(default_factory=list)  # at which byte each transfer of the archive began

    def __enter__(self):
        self.closing, self.lock = threading.Event(), threading.Condition()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(self))
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def environment(self):
        """What makes the kaggle command talk to this server and to nothing else."""
        proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), self.url)
        return {**proxies, "NO_PROXY": "", "no_proxy": "", "KAGGLE_API_ENVIRONMENT": "LOCALHOST"}

    def trouble(self, call, kind, status=500, **more):
        """Let a call fail from now on, or so many times; several troubles of one call come one after the other."""
        self.troubles.setdefault(call, []).append(Trouble(kind, status, **more))

    def strike(self, call):
        """The trouble that this call meets now, if any; each one is counted."""
        with self.lock:
            self.calls.append(call)
            self.lock.notify_all()
            found = next((trouble for trouble in self.troubles.get(call, []) if trouble.times), None)
            if found:
                found.times -= 1
            return found

    def wait_for(self, call, times=1):
        """Until this was called so often, by whichever process."""
        with self.lock:
            assert self.lock.wait_for(lambda: self.calls.count(call) >= times, timeout=60), self.calls

    def heal(self):
        self.troubles.clear()

    def do_delayed(self, call):
        """Do what was delayed until it has been asked for often enough."""
        for one in list(self.delayed) if call in POLLS else []:
            one[0] -= 1
            if one[0] < 0:
                self.delayed.remove(one)
                getattr(self, one[1])(one[2])

    # What each call answers.

    def IntrospectToken(self, asked):
        return {"active": asked.get("token") == TOKEN, "username": "someone"}

    def ListDataFiles(self, asked):
        names = zipfile.ZipFile(io.BytesIO(self.archive)).namelist()
        return {"files": [{"name": name, "ref": name, "totalBytes": 1, "creationDate": DATE} for name in names],
                "nextPageToken": ""}

    def GetSubmissionLimits(self, asked):
        used = len(self.submissions)
        return {"numToday": used, "numTotal": used, "numAllowedNow": max(0, self.daily_limit - used)}

    def StartSubmissionUpload(self, asked):
        token = f"blob{len(self.uploads)}"
        self.uploads[token] = b""
        self.names[token] = asked.get("fileName", "")
        return {"token": token, "createUrl": f"http://localhost/upload/{token}"}

    def CreateSubmission(self, asked):
        if len(self.submissions) >= self.daily_limit:
            raise Refused(400, "You have reached the daily submission limit of this competition.")
        blob = self.uploads[asked["blobFileTokens"]]
        self.submissions.append({
            "ref": 1001 + len(self.submissions), "date": DATE, "description": asked.get("submissionDescription", ""),
            "fileName": self.names.get(asked["blobFileTokens"], ""), "totalBytes": len(blob), "submittedBy": "someone",
            "teamName": "someone",
            "url": "", "blob": blob, "looks": self.pending_looks})
        return {"message": f"Successfully submitted to {self.slug}", "ref": self.submissions[-1]["ref"]}

    def ListSubmissions(self, asked):
        return {"submissions": [self.shown(one) for one in reversed(self.submissions)][:asked.get("pageSize", 20)],
                "nextPageToken": ""}

    def GetSubmission(self, asked):
        return self.shown(self.found_submission(asked["ref"]))

    def found_submission(self, ref):
        found = [one for one in self.submissions if one["ref"] == int(ref)]
        if not found:
            raise Refused(404, "Not found")
        return found[0]

    def best(self):
        """The user's best submission that has a score, with this score."""
        shown = [self.shown(dict(one)) for one in self.submissions]
        return min(((one["publicScore"], one["ref"]) for one in shown if one["publicScore"]), default=None)

    def GetLeaderboard(self, asked):
        """Teams by score, a page at a time; the user's is TEAM."""
        best = self.best()
        others = [(score, number) for number, score in enumerate(self.other_teams, 1)]
        teams = sorted([*others, *([(best[0], TEAM)] if best else [])])
        start, size = int(asked.get("pageToken") or 0), min(asked.get("pageSize", 20), LEADERBOARD_PAGE)
        rows = [{"teamId": team, "teamName": f"team {team}", "submissionDate": DATE, "score": score} for score, team in teams]
        more = str(start + size) if start + size < len(rows) else ""
        return {"submissions": rows[start:start + size], "nextPageToken": more}

    def ListTeamPublicSubmissions(self, asked):
        best = self.best()
        own = [{"id": best[1], "dateSubmitted": DATE, "publicScore": best[0]}] if best else []
        return {"submissions": own if asked["teamId"] == TEAM else [{"id": 5, "dateSubmitted": DATE, "publicScore": "1"}]}

    def log_lines(self, ref):
        raise Refused(404, None)

    def shown(self, one):
        """A submission as listed: its score is there once it was looked at often enough."""
        public = {key: value for key, value in one.items() if key not in ("blob", "looks")}
        pending, one["looks"] = one["looks"] > 0, one["looks"] - 1
        if pending:
            return public | {"status": "PENDING", "publicScore": "", "privateScore": ""}
        if reason := public.pop("failure", self.error):
            return public | {"status": "ERROR", "errorDescription": reason, "publicScore": "", "privateScore": ""}
        scores = score(one["blob"], self.solution)
        return public | {"status": "COMPLETE", "publicScore": scores["Public"], "privateScore": scores["Private"]}


def score(blob, solution):
    """RMSE over the rows of each part, as text."""
    with zipfile.ZipFile(io.BytesIO(blob)) as packed:
        sent = rows_of(packed.read(packed.namelist()[0]).decode())
    truth = rows_of(solution)
    assert [row[0] for row in sent] == [row[0] for row in truth]
    error = np.array([float(row[1]) for row in sent]) - np.array([float(row[1]) for row in truth])
    usage = np.array([row[2] for row in truth])
    return {part: f"{np.sqrt(np.mean(error[usage == part] ** 2)):.5f}" for part in ("Public", "Private")}


def rows_of(text):
    return list(csv.reader(io.StringIO(text)))[1:]


class Refused(Exception):
    """A call that Kaggle answers with an HTTP status and a message."""


class Gone(Exception):
    """The connection is dropped here."""


def handler_for(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            call = urlsplit(self.path).path.rsplit("/", 1)[-1]
            asked = json.loads(self.body() or b"{}")
            self.guarded(call, lambda: self.call(call, asked))

        def do_GET(self):
            place = urlsplit(self.path).path
            if place.startswith("/api/v1/kernels/logs/stream/"):
                return self.guarded("LogStream", lambda: self.send_log(place.split("stream/")[1]))
            if place.startswith("/submitted/"):
                return self.guarded("submitted", lambda: self.send_submitted(int(place.split("/")[2])))
            if place.startswith("/files/"):
                return self.guarded("archive", self.send_archive)
            return self.guarded("output", lambda: self.send_output(unquote(place.removeprefix("/output/"))))

        def do_PUT(self):
            token, data = urlsplit(self.path).path.rsplit("/", 1)[-1], self.body()
            self.guarded("PUT", lambda: (server.uploads.update({token: data}), self.answer(200, b"{}"))[1])

        def do_CONNECT(self):
            server.calls.append("CONNECT")
            self.answer(502, b"")

        def body(self):
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                return b"".join(self.chunks())
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def chunks(self):
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()

        def guarded(self, call, work):
            """Do the work, or what the trouble at this call says instead."""
            self.trouble = server.strike(call)
            kind = self.trouble.kind if self.trouble else None
            try:
                if kind == "hang":
                    server.closing.wait()
                if kind in ("hang", "drop"):
                    raise Gone
                if kind == "junk":
                    return self.answer(200, self.trouble.message.encode())
                if kind == "status":
                    raise Refused(self.trouble.status, self.trouble.message)
                work()
            except Refused as refused:
                self.refuse(*refused.args)
            except (Gone, BrokenPipeError, ConnectionResetError):
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)

        def refuse(self, status, message):
            if message is None:
                return self.answer(status, b"<html>trouble</html>", {"Content-Type": "text/html"})
            return self.answer(status, json.dumps({"code": status, "message": message}).encode())

        def call(self, call, asked):
            if call != "IntrospectToken" and self.headers.get("Authorization") not in LOGINS:
                raise Refused(401, "Unauthenticated")
            if call == "DownloadDataFiles":
                place = f"http://localhost/files/{server.slug}.zip?signature=1"
                return self.answer(302, b"", {"Location": place})
            if call == "DownloadSubmission":
                one = server.found_submission(asked["submissionId"])
                return self.answer(302, b"", {"Location": f"http://localhost/submitted/{one['ref']}/{one['fileName']}?signature=1"})
            with server.lock:
                server.do_delayed(call)
                is_late = self.trouble and self.trouble.kind in ("late", "hang late")
                answer = server.delayed.append([self.trouble.polls, call, asked]) if is_late else getattr(server, call)(asked)
            if self.trouble and self.trouble.kind in ("hang after", "hang late"):
                server.closing.wait()
            if self.trouble and self.trouble.kind in ("lose", "late", "hang after", "hang late"):
                raise Gone
            return self.answer(200, json.dumps(answer).encode())

        def answer(self, status, data, headers=None):
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def send_archive(self):
            data, kind = server.archive, self.trouble.kind if self.trouble else None
            if kind == "change":
                data = data[:40] + bytes(byte ^ 0xFF for byte in data[40:60]) + data[60:]
            start = self.start_of_range()
            server.starts.append(start)
            self.send_response(206 if start else 200)
            headers = {"Content-Type": "application/zip", "Accept-Ranges": "bytes", "ETag": '"one"',
                       "Last-Modified": MODIFIED, "Content-Length": str(len(data) - start)}
            headers |= {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            stop = start + max(1, (len(data) - start) // 2) if kind == "cut" else len(data)
            self.wfile.write(data[start:stop])
            if kind == "cut":
                self.wfile.flush()
                raise Gone

        def send_submitted(self, ref):
            """The file of a submission, with the headers that a download needs."""
            data = server.found_submission(ref)["blob"]
            self.answer(200, data, {"Content-Type": "application/octet-stream", "Last-Modified": MODIFIED})

        def send_log(self, ref):
            """The output of a session as events, up to the sentinel."""
            lines = server.log_lines(ref)
            events = [json.dumps({"stream_name": "stdout", "time": 1.0, "data": f"{line}\n"}) for line in lines] + ["END_OF_LOG"]
            self.answer(200, "".join(f"data: {event}\n\n" for event in events).encode(), {"Content-Type": "text/event-stream"})

        def send_output(self, name):
            data = server.output_file(name)
            kind = self.trouble.kind if self.trouble else None
            if kind == "change":
                data = data[:-20] + bytes(byte ^ 0xFF for byte in data[-20:])
            if kind == "cut":
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[:len(data) // 2])
                self.wfile.flush()
                raise Gone
            return self.answer(200, data, {"Content-Type": "application/octet-stream"})

        def start_of_range(self):
            asked = self.headers.get("Range", "")
            same = self.headers.get("If-Range", '"one"') == '"one"'
            return int(asked.removeprefix("bytes=").removesuffix("-")) if asked and same else 0

    return Handler
