"""A warehouse server in a process of its own, to be used, killed and started again."""

import os
import subprocess
import sys
from pathlib import Path

import clickhouse_connect
import httpx
from clickhouse_connect.driver.client import Client

from deploy.local.ports import free_port
from tests.stack import eventually

PASSWORDS = {"headrace": "writes", "reader": "reads"}


class Warehouse:
    """One server on one data directory."""

    def __init__(self, path: Path, port: int | None = None) -> None:
        self.path = path
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] = self._launch()

    def _launch(self) -> subprocess.Popen[str]:
        known = {"HEADRACE_WAREHOUSE_PASSWORD": "writes", "HEADRACE_WAREHOUSE_READER_PASSWORD": "reads"}
        command = [sys.executable, "-m", "deploy.local.warehouse", "--path", str(self.path), "--port", str(self.port)]
        return subprocess.Popen(command, env=os.environ | known, stderr=subprocess.PIPE, text=True)

    def wait_until_ready(self) -> "Warehouse":
        eventually(self._answers, 60, "the warehouse answers")
        return self

    def start_again(self) -> None:
        self.process = self._launch()
        self.wait_until_ready()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def terminate(self) -> int:
        self.process.terminate()
        return self.process.wait(60)

    def client(self, user: str = "headrace") -> Client:
        return clickhouse_connect.get_client(
            host="127.0.0.1",
            port=self.port,
            username=user,
            password=PASSWORDS[user],
            autogenerate_session_id=False,
            query_retries=0,
        )

    def post(self, sql: str, user: str = "headrace", body: bytes = b"", **params: str) -> httpx.Response:
        """A request as the protocol has it, with nothing between the test and the wire."""
        auth = (user, PASSWORDS[user])
        return httpx.post(f"{self.url}/", params={"query": sql, **params}, content=body, auth=auth, timeout=60)

    def value(self, sql: str) -> str:
        answer = self.post(sql)
        assert answer.is_success, answer.text
        return answer.text.strip()

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.process.stderr.read() if self.process.stderr else ""
        try:
            return httpx.get(f"{self.url}/ping", timeout=2).text == "Ok.\n"
        except httpx.HTTPError:
            return False
