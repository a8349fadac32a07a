// A right client in Node. Its user answers the request.   node client.js HOST PORT
const net = require("net");
const readline = require("readline");

const [host, port] = process.argv.slice(2);
const sock = net.connect({ host, port: Number(port), allowHalfOpen: true });
const input = readline.createInterface({ input: process.stdin, terminal: false });
const output = readline.createInterface({ input: sock, terminal: false, crlfDelay: Infinity });
let typing = true;

input.on("line", (line) => sock.write(line + "\n"));
input.on("close", () => {
  typing = false;
  sock.end();
});
output.on("error", () => {}); // readline repeats the error of the socket
output.on("line", (line) => {
  if (line === "nickname") console.log("Your nickname?");
  else console.log(line);
});
sock.on("end", () => {
  if (typing) console.log("The server has hung up.");
  process.exit(typing ? 1 : 0);
});
sock.on("error", (error) => {
  console.log("No connection: " + error.message);
  process.exit(1);
});
process.on("SIGINT", () => process.exit(130));
