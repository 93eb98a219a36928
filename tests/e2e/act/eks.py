#!/usr/bin/env python3
"""Stands in for what an EKS node finds around it: the metadata service with a role, and the webhook by which the API server asks who a token belongs to.
The webhook verifies the signature itself, by hand, from the role's secret; it refuses a token that is old, for another cluster or signed otherwise.

    eks.py CERTIFICATE KEY CLUSTER USER     prints two ports: metadata, webhook; ends with its standard input
"""
import base64
import datetime
import hashlib
import hmac
import json
import ssl
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CERTIFICATE, KEY, CLUSTER, USER = sys.argv[1:5]
ROLE = {"AccessKeyId": "ASIALAB", "SecretAccessKey": "lab/secret+key", "Token": "lab//session=="}
REGION = "eu-west-1"


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def say(self, code, text):
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Metadata(Quiet):
    def do_PUT(self):
        self.say(200 if self.path == "/latest/api/token" else 404, "metadata-token")

    def do_GET(self):
        ends = (now() + datetime.timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
        roles = "/latest/meta-data/iam/security-credentials/"
        pages = {
            roles: "lab-role",
            roles + "lab-role": json.dumps({"Code": "Success", "Expiration": ends, **ROLE}),
            "/latest/meta-data/placement/region": REGION,
            "/latest/meta-data/services/domain": "amazonaws.com",
        }
        if self.headers.get("X-aws-ec2-metadata-token") != "metadata-token":
            self.say(401, "")
        else:
            self.say(200 if self.path in pages else 404, pages.get(self.path, ""))


def keyed(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def verify(token):
    """The caller's name, or why not."""
    if not token.startswith("k8s-aws-v1."):
        return None, "another kind of token"
    text = token[len("k8s-aws-v1."):]
    url = urllib.parse.urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    pairs = urllib.parse.parse_qsl(url.query, keep_blank_values=True)
    told = dict(pairs)
    if url.hostname != f"sts.{REGION}.amazonaws.com" or told.get("Action") != "GetCallerIdentity":
        return None, "not a call to STS"
    at = datetime.datetime.strptime(told["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if abs((now() - at).total_seconds()) > 15 * 60:
        return None, "too old"
    if told.get("X-Amz-Security-Token") != ROLE["Token"]:
        return None, "another session"
    signed = told["X-Amz-SignedHeaders"].split(";")
    headers = {"host": url.hostname, "x-k8s-aws-id": CLUSTER}
    if sorted(signed) != sorted(headers):
        return None, "the cluster is not signed for"

    def quote(word):
        return urllib.parse.quote(word, safe="-_.~")

    query = "&".join(sorted(f"{quote(key)}={quote(value)}" for key, value in pairs if key != "X-Amz-Signature"))
    canonical = "\n".join(
        ["GET", "/", query, *(f"{name}:{headers[name]}" for name in signed), "", ";".join(signed), hashlib.sha256(b"").hexdigest()]
    )
    day = told["X-Amz-Date"][:8]
    scope = f"{day}/{REGION}/sts/aws4_request"
    if told["X-Amz-Credential"] != f"{ROLE['AccessKeyId']}/{scope}":
        return None, "another key"
    text = "\n".join(["AWS4-HMAC-SHA256", told["X-Amz-Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + ROLE["SecretAccessKey"]).encode()
    for word in (day, REGION, "sts", "aws4_request"):
        key = keyed(key, word)
    if not hmac.compare_digest(keyed(key, text).hex(), told["X-Amz-Signature"]):
        return None, "the signature is another"
    return USER, ""


class Webhook(Quiet):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            user, why = verify(review["spec"]["token"])
        except Exception as error:  # whatever a token may hold
            user, why = None, repr(error)
        status = {"authenticated": bool(user)}
        if user:
            status["user"] = {"username": user, "groups": ["system:nodes"]}
        else:
            print(f"refused: {why}", file=sys.stderr, flush=True)
        self.say(200, json.dumps({"apiVersion": review["apiVersion"], "kind": "TokenReview", "status": status}))


metadata = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
webhook = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
webhook.socket = context.wrap_socket(webhook.socket, server_side=True)
for server in (metadata, webhook):
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(metadata.server_port, webhook.server_port, flush=True)
sys.stdin.read()
