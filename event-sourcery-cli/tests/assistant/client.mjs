// Starts a server of the Model Context Protocol, calls its tools one after the other, and prints what it says, as JSON.
//
// Its arguments: the calls, as [{"name": "stream", "arguments": {..}}]; the program; the program's arguments.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [calls, command, ...args] = process.argv.slice(1);
const client = new Client({ name: "event-sourcery-tests", version: "1.0.0" });
await client.connect(new StdioClientTransport({ command, args }));
const { tools } = await client.listTools();
const answers = [];
for (const call of JSON.parse(calls)) {
    answers.push(await client.callTool(call).catch((error) => ({ refused: error.message })));
}
await client.close();
console.log(JSON.stringify({ server: client.getServerVersion(), tools, answers }));
