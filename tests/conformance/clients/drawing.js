// A right client in Node, which lets readline draw a prompt and what is typed.   node drawing.js HOST PORT
const net = require("net");
const readline = require("readline");

const [host, port] = process.argv.slice(2);
const sock = net.connect(Number(port), host);
const keyboard = readline.createInterface({ input: process.stdin, output: process.stdout, prompt: "> " });
const early = []; // typed before the connection is there
let connected = false;
let rest = "";

function send(line) {
  if (!connected) early.push(line);
  else sock.write(line + "\n");
}

sock.on("connect", () => {
  connected = true;
  early.forEach(send);
});
keyboard.on("line", (line) => {
  send(line);
  keyboard.prompt();
});
keyboard.on("close", () => sock.end());
keyboard.on("SIGINT", () => process.exit(130));
sock.setEncoding("utf8");
sock.on("data", (text) => {
  const lines = (rest + text).split("\n");
  rest = lines.pop();
  for (const line of lines) {
    console.log(line.replace(/\r$/, "") === "nickname" ? "Your nickname?" : line);
    keyboard.prompt();
  }
});
sock.on("end", () => console.log("The server has hung up."));
sock.on("error", (error) => console.log("The connection broke: " + error.message));
sock.on("close", () => process.exit(0));
