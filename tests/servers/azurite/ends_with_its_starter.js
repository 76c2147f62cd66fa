// Loaded before Azurite: a test run that was killed closes this pipe, and must not leave a server behind.
process.stdin.resume();
process.stdin.on("end", () => process.kill(process.pid, "SIGTERM"));
process.stdin.unref(); // once Azurite has closed everything, nothing here keeps it
