import { type ChildProcess, spawn } from "node:child_process";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
export const PYTHON = process.env.CROSSWIRE_PYTHON || `${ROOT}.venv/bin/python`;

/** Start a program that prints a line when it is ready, and ends with its standard input. */
async function run(module: string, args: string[] = []): Promise<{ child: ChildProcess; line: string }> {
  const child = spawn(PYTHON, ["-m", module, ...args], { cwd: ROOT, stdio: ["pipe", "pipe", "inherit"] });
  const line = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve);
    child.once("error", reject).once("exit", (code) => reject(new Error(`${module} ended with ${code}`)));
  });
  return { child, line };
}

/** A Redis in a process of its own. */
export class Redis {
  private _process?: ChildProcess;
  url = "";

  async open(): Promise<void> {
    const { child, line } = await run("tests.browser.redis_program");
    this._process = child;
    this.url = line;
  }

  async close(): Promise<void> {
    const child = this._process!;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.stdin!.end();
    await ended;
  }
}

/**
 * A Crosswire server in a process of its own, behind a port that stays the same when it is killed and started again. It
 * ends with its standard input, so it never outlives the tests.
 */
export class CrosswireServer {
  private _process?: ChildProcess;
  private _port = 0;
  private readonly _sockets = new Set<Socket>();
  /** Bytes a second, each way, or undefined for no limit. */
  pace?: number | undefined;
  private readonly _front: Server = createServer((client) => this._join(client));

  /** @param _redis the URL of the Redis that it shares with others, if there are any */
  constructor(private readonly _redis?: string) {}

  get url(): string {
    return `ws://127.0.0.1:${(this._front.address() as AddressInfo).port}`;
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this._front.listen(0, "127.0.0.1", resolve));
    await this.start();
  }

  async start(): Promise<void> {
    const { child, line } = await run("tests.browser.server_program", this._redis ? [this._redis] : []);
    this._process = child;
    this._port = Number(line);
  }

  async kill(): Promise<void> {
    const child = this._process!;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
    this._port = 0;
  }

  /** Let it stand still: its connections stay, and nothing is answered. */
  stall(): void {
    this._process!.kill("SIGSTOP");
  }

  resume(): void {
    this._process!.kill("SIGCONT");
  }

  async close(): Promise<void> {
    await this.kill();
    for (const socket of this._sockets) socket.destroy();
    await new Promise((resolve) => this._front.close(resolve));
  }

  private _join(client: Socket): void {
    if (!this._port) return void client.destroy();
    const server = connect(this._port, "127.0.0.1");
    for (const [one, other] of [
      [client, server],
      [server, client],
    ]) {
      this._sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        this._sockets.delete(one);
        other.destroy();
      });
      one.on("data", (chunk) => {
        other.write(chunk);
        if (!this.pace) return;
        one.pause();
        setTimeout(() => one.resume(), (chunk.length / this.pace) * 1000);
      });
      one.on("end", () => other.end());
    }
  }
}
