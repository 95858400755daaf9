"""The Hugging Face hub and Kaggle's models as their libraries see them, on loopback, in memory, for one account."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

HUB_TOKEN, KAGGLE_TOKEN = "hf_0123456789abcdef", "KGAT_0123456789abcdef0123456789abcdef"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class ModelHubs:
    """`files` are those of each published model by its name: OWNER/NAME, and for Kaggle OWNER/MODEL/FRAMEWORK/VARIATION."""

    def __init__(self):
        self.files, self.versions, self.blobs, self.calls, self.models = {}, {}, {}, [], set()

    def __enter__(self):
        hubs = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                answer(hubs, self)

            do_HEAD = do_POST = do_PUT = do_GET

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def environment(self, home, *, login=True):
        """What makes both libraries talk to this server and to nothing else, and write into a folder of the test."""
        proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), self.url)
        tokens = {"HF_TOKEN": HUB_TOKEN, "KAGGLE_API_TOKEN": KAGGLE_TOKEN} if login else {}
        return {**proxies, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
                "HF_ENDPOINT": self.url, "HF_HOME": str(home / "hf"), "KAGGLEHUB_CACHE": str(home / "kagglehub"),
                "HOME": str(home), "HF_HUB_DISABLE_XET": "1", **tokens}


def answer(hubs, request):
    url = urlsplit(request.path)
    body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
    if request.headers.get("Transfer-Encoding") == "chunked":
        body = b"".join(read_chunks(request.rfile))
    place = unquote(url.path)
    hubs.calls.append((request.command, place))
    login = request.headers.get("Authorization", "")
    if "/v1/" in place or place.startswith("/blob/"):
        status, headers, content = answer_kaggle(hubs, place, body, login == f"Bearer {KAGGLE_TOKEN}")
    else:
        status, headers, content = answer_hub(hubs, place, parse_qs(url.query), body, login == f"Bearer {HUB_TOKEN}")
    request.send_response(status)
    for name, value in {"Content-Length": str(len(content)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(content)


def read_chunks(stream):
    while size := int(stream.readline(), 16):
        yield stream.read(size)
        stream.readline()
    stream.readline()


def to_json(value, status=200):
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


def answer_hub(hubs, place, query, body, has_login):
    parts = place.strip("/").split("/")
    if place.startswith("/api/") and not has_login:
        return to_json({"error": "Invalid username or password."}, 401)
    if parts[:3] == ["api", "repos", "create"]:
        asked = json.loads(body)
        name = asked["name"] if "/" in asked["name"] else f"{asked.get('organization') or 'someone'}/{asked['name']}"
        hubs.files.setdefault(name, {})
        return to_json({"url": f"{hubs.url}/{name}", "name": name})
    if place == "/api/whoami-v2":
        return to_json({"name": "someone", "orgs": []})
    if parts[:2] == ["api", "models"] and "preupload" in parts:
        return to_json({"files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                                  for file in json.loads(body)["files"]]})
    if parts[:2] == ["api", "models"] and "commit" in parts:
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                hubs.files["/".join(parts[2:4])][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return to_json({"commitUrl": f"{hubs.url}/{'/'.join(parts[2:4])}/commit/{COMMIT}", "commitOid": COMMIT, "hookOutput": ""})
    if parts[:2] == ["api", "models"]:
        name = "/".join(parts[2:4])
        return to_json({"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in hubs.files.get(name, {})]})
    if place == "/api/validate-yaml":
        return to_json({"errors": [], "warnings": []})
    if "resolve" in parts:
        content = hubs.files.get("/".join(parts[:2]), {}).get(parts[-1])
        if content is None:
            return 404, {"X-Error-Code": "EntryNotFound", "Content-Type": "text/plain"}, b""
        return 200, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}, content
    return to_json({"error": f"unknown: {place}"}, 404)


def answer_kaggle(hubs, place, body, has_login):
    if place.startswith("/blob/"):
        hubs.blobs[place.rpartition("/")[2]]["content"] = body
        return 200, {}, b""
    call, asked = place.rpartition("/")[2], json.loads(body or b"{}")
    name = "/".join(str(asked.get(key, "")) for key in ("ownerSlug", "modelSlug"))
    if call == "DownloadModelInstanceVersion":
        content = hubs.files.get(instance_name(name, asked), {}).get(asked["path"])
        if content is None:
            return to_json({"message": "no"}, 404)
        return 200, {"Content-Type": "application/octet-stream"}, content
    if call == "GetModelInstance":
        found = instance_name(name, asked)
        return to_json({"versionNumber": hubs.versions[found]}) if found in hubs.versions else to_json({"message": "no"}, 404)
    if not has_login:
        return to_json({"code": 401, "message": "Unauthorized"}, 401)
    if call == "GetModel":
        return to_json({"slug": asked["modelSlug"]}) if name in hubs.models else to_json({"message": "no"}, 404)
    if call == "CreateModel":
        hubs.models.add(f"{asked['ownerSlug']}/{asked['slug']}")
        return to_json({"ref": asked["slug"]})
    if call == "StartBlobUpload":
        token = f"token-{len(hubs.blobs)}"
        hubs.blobs[token] = {"name": asked["name"]}
        return to_json({"token": token, "createUrl": f"{hubs.url}/blob/{token}"})
    if call in ("CreateModelInstance", "CreateModelInstanceVersion"):
        inner = asked["body"]
        found = instance_name(name, {**asked, "instanceSlug": asked.get("instanceSlug") or inner.get("instanceSlug"),
                                     "framework": asked.get("framework") or inner.get("framework")})
        if call == "CreateModelInstance" and found in hubs.versions:
            return to_json({"error": "exists", "errorCode": 409})
        blobs = [hubs.blobs[file["token"]] for file in inner["files"]]
        hubs.files[found] = {blob["name"]: blob["content"] for blob in blobs}
        hubs.versions[found] = hubs.versions.get(found, 0) + 1
        return to_json({"ref": found, "url": f"{hubs.url}/{found}"})
    return to_json({"message": f"unknown: {place}"}, 404)


def instance_name(model, asked):
    framework = str(asked["framework"]).lower().removeprefix("model_framework_")
    return f"{model}/{framework}/{asked['instanceSlug']}"
