"""What Python programs do to a runtime: threads, asyncio, subprocess, multiprocessing. Prints one
line for each."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import ssl
import subprocess
import sys
import tempfile
import threading


def threads() -> int:
    found: list[int] = []

    def work() -> None:
        for _ in range(50):
            with tempfile.NamedTemporaryFile() as file:
                file.write(b"x" * 100)
                file.flush()
                found.append(os.stat(file.name).st_size)

    started = [threading.Thread(target=work) for _ in range(8)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return sum(found)


async def echo() -> str:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "socket")
        server = await asyncio.start_unix_server(serve, path)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"hello\n")
        line = await reader.readline()
        name = writer.get_extra_info("peername")
        writer.close()
        server.close()
        child = await asyncio.create_subprocess_exec("cat", "/etc/hostname", stdout=subprocess.PIPE)
        await child.communicate()
        return f"{line.decode().strip()} {name == path} {child.returncode}"


def children() -> list[int]:
    words = ["sh", "-c", "exit $0"]
    codes = [subprocess.run([*words, str(code)], check=False).returncode for code in (0, 7, 255)]
    codes.append(subprocess.run(["sh", "-c", "kill -9 $$"], check=False).returncode)
    try:
        subprocess.run(["/nonexistent/program"], check=False)
    except FileNotFoundError:
        codes.append(127)
    return codes


def square(number: int) -> int:
    return number * number


def main() -> None:
    print("threads", threads())
    print("asyncio", asyncio.run(echo()))
    print("subprocess", json.dumps(children()))
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, sum(pool.map(square, range(100))))
    print("ssl", bool(ssl.create_default_context()), os.path.basename(sys.executable)[:7])


if __name__ == "__main__":
    main()
