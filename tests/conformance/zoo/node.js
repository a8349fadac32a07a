// A right server in Node: net, events, and what is written waits in each socket.
"use strict";
const net = require("net");

const FRAMING = "lines";
const FORM = "{name}: {text}";
const REQUEST = "nickname";
const END = FRAMING === "lines" ? "\n" : "";
const room = new Map();

function tellOthers(me, text) {
  for (const [name, socket] of room) if (name !== me) socket.write(text + END);
}

function clean(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\u00b7");
}

net.createServer({ allowHalfOpen: false, noDelay: true }, (socket) => {
  let name = null, rest = Buffer.alloc(0), tooLong = false, how = "hung up";
  const tell = (text) => socket.write(text + END);

  function hear(text) {
    if (name !== null) {
      if (text !== "") tellOthers(name, FORM.replace("{name}", () => name).replace("{text}", () => text));
      return;
    }
    const wanted = text.trim();
    if (wanted === "" || room.has(wanted)) {
      if (FRAMING === "lines") tell("! no, another one");
      tell(REQUEST);
      return;
    }
    name = wanted;
    if (FRAMING === "lines") tellOthers(name, `* ${name} joined`);
    room.set(name, socket);
  }

  socket.on("data", (data) => {
    if (FRAMING === "raw") return hear(data.toString());
    rest = Buffer.concat([rest, data]);
    for (let at; (at = rest.indexOf(10)) >= 0; rest = rest.subarray(at + 1)) {
      if (tooLong || at >= 4096) tell("! too long");
      else hear(clean(rest.subarray(0, at).toString().replace(/\r$/, "")));
      tooLong = false;
    }
    if (rest.length >= 4096) {
      rest = Buffer.alloc(0);
      tooLong = true;
    }
  });
  socket.on("error", () => { how = "vanished"; });
  socket.on("close", () => {
    if (name === null) return;
    room.delete(name);
    if (FRAMING === "lines") tellOthers(name, `* ${name} left (${how})`);
  });
  tell(REQUEST);
}).listen(Number(process.env.PORT), "127.0.0.1");
