// A shop on Emmett, driven line by line: each line is a command, and each is answered by one line.
//
// The arguments are the folder that has Emmett, and a file of SQLite or the address of a database of PostgreSQL.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// Emmett prints its errors, and what is printed is read as an answer.
console.log = console.error;

const [folder, address] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const isServer = address.startsWith("postgres");
const emmett = require(`@event-driven-io/emmett-${isServer ? "postgresql" : "sqlite"}`);
const store = isServer
    ? emmett.getPostgreSQLEventStore(address)
    : emmett.getSQLiteEventStore({ fileName: address });

const added = (number) => ({
    type: "Added",
    data: { number, digits: 12345678901234567890n },
    metadata: { by: "Ada" },
});

// Now and then Emmett's commit on SQLite meets a statement of its own that has not ended. Nothing is kept then.
const append = async (cart, events) => {
    for (;;) {
        try {
            return await store.appendToStream(cart, events);
        } catch (error) {
            if (error.code !== "SQLITE_BUSY") throw error;
        }
    }
};

// On SQLite, a refused append raises the version of its stream all the same.
const refuse = async (cart, expectedStreamVersion) => {
    const appending = store.appendToStream(cart, [added(0)], { expectedStreamVersion });
    const isRefused = await appending.then(() => false, () => true);
    if (!isRefused) throw new Error(`${cart} was not at ${expectedStreamVersion}, and was appended to`);
};

let isOver = false;

const write = async (writer) => {
    for (let number = 0; !isOver; number += 1) {
        const cart = `cart-${writer}-${number % 10}`;
        const appended = await append(cart, [added(number), added(number)]);
        if (number % 4 === 0) await refuse(cart, appended.nextExpectedStreamVersion - 1n);
    }
};

const writers = [];
const commands = {
    add: async (cart, count) => {
        const appended = await append(cart, Array.from({ length: Number(count) }, (_, number) => added(number)));
        return appended.nextExpectedStreamVersion;
    },
    // One connection of Emmett's to a file takes one append at a time.
    write: async () => {
        for (let writer = 0; writer < (isServer ? 4 : 1); writer += 1) writers.push(write(writer));
        return "writing";
    },
    stop: async () => {
        isOver = true;
        await Promise.all(writers);
        return "stopped";
    },
};

for await (const line of createInterface({ input: process.stdin })) {
    const [command, ...rest] = line.split(" ");
    process.stdout.write(`${await commands[command](...rest)}\n`);
}
process.exit(0);
