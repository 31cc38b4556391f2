import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { PYTHON, ROOT } from "./server.js";

/** A node or a Redis of the demo, as the terminal tells of it. */
export interface Place {
  url: string;
  pid: number;
}

/** `make demo`, on free ports. */
export class Demo {
  readonly places = new Map<string, Place>();
  private _process?: ChildProcess;

  async open(): Promise<void> {
    // A node that died is known to be dead after 3 s at most: it must not be back before.
    const args = ["-u", "examples/demo/demo.py", "--port", "0", "--pace", "0.4", "--restart-after", "5"];
    const child = spawn(PYTHON, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
    this._process = child;
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject).once("exit", (code) => reject(new Error(`the demo ended with ${code}`)));
      createInterface(child.stdout).on("line", (line) => {
        const [, name, url, pid] = /^ +(\S+)  (\S+:\d+)  pid (\d+)$/.exec(line) ?? [];
        if (name) this.places.set(name, { url, pid: Number(pid) });
        if (/Deniz joined/.test(line)) resolve(); // the last of the scripted clients
      });
    });
  }

  async close(): Promise<void> {
    const child = this._process!;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(); // it takes its processes along
    await ended;
  }
}
