"""The identity stand-in gives the real credential what App Service gives it, and the throw-away CA is trusted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request

import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential

from tests.servers.identity import APPLICATION, PRINCIPAL, TENANT, IdentityEndpoint

STORAGE = "https://storage.azure.com"


@pytest.fixture
def own(monkeypatch):
    with IdentityEndpoint() as endpoint:
        for name, value in endpoint.environment.items():
            monkeypatch.setenv(name, value)
        yield endpoint


def test_a_managed_identity_gets_a_token_with_the_claims_that_services_read(own):
    token = ManagedIdentityCredential().get_token(f"{STORAGE}/.default")
    claims = jwt.decode(token.token, options={"verify_signature": False})
    assert (claims["aud"], claims["oid"], claims["tid"], claims["appid"]) == (STORAGE, PRINCIPAL, TENANT, APPLICATION)
    assert claims["nbf"] <= claims["iat"] < claims["exp"]
    assert own.issued == [token.token]


def test_a_token_is_asked_for_once_by_each_identity_and_resource(own):
    client = "11111111-2222-3333-4444-555555555555"
    system, user = ManagedIdentityCredential(), ManagedIdentityCredential(client_id=client)
    for credential in (system, user, system, user):
        credential.get_token(f"{STORAGE}/.default")
    assert own.requests == {(STORAGE, ""): 1, (STORAGE, client): 1}


def test_a_token_that_has_ended_is_replaced(own):
    own.lifetime_s = -5
    credential = ManagedIdentityCredential()
    credential.get_token(f"{STORAGE}/.default")
    own.lifetime_s = 3600
    credential.get_token(f"{STORAGE}/.default")
    assert own.asked == 2


def test_the_credential_tries_again_where_the_endpoint_is_busy(own):
    own.fail(500, times=2)
    own.fail(429, retry_after=0)
    assert ManagedIdentityCredential(retry_backoff_factor=0).get_token(f"{STORAGE}/.default").token == own.issued[0]
    assert own.asked == 4


def test_a_request_without_the_secret_gets_no_token(own, monkeypatch):
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")
    with pytest.raises(ClientAuthenticationError, match="the secret or the version is wrong"):
        ManagedIdentityCredential().get_token(f"{STORAGE}/.default")
    assert own.issued == []


def test_a_child_process_trusts_the_servers_of_this_session(authority, azurite):
    code = f"import requests, json; print(json.dumps(requests.get({azurite.account()!r} + '?comp=list').status_code))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == 403


def test_what_was_trusted_before_is_trusted_still(authority):
    kept = authority.bundle.read_text().count("BEGIN CERTIFICATE")
    assert kept > 50
    assert urllib.request.ssl.create_default_context(cafile=authority.bundle).cert_store_stats()["x509_ca"] > 50


def run_without_node(tmp_path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", __file__, "-k", "child_process", "-n", "0", "-p", "no:cacheprovider"]
    variables = {**os.environ, "PATH": str(tmp_path), **variables}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables)


def test_where_node_is_missing_a_run_says_loudly_what_did_not_run(tmp_path):
    told = run_without_node(tmp_path, CI="")
    assert "the blob adapter was not tried" in told.stdout
    assert "1 tests did NOT run, for they need Azurite: Node.js is not installed" in told.stdout


def test_on_a_build_server_a_run_without_node_fails(tmp_path):
    told = run_without_node(tmp_path, CI="true")
    assert told.returncode == 1
    assert "The blob adapter's tests cannot run: Node.js is not installed" in told.stderr + told.stdout
