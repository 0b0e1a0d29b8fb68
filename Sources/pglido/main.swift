import Daemon
import Glibc
import Primitives

/// Top-level code belongs to the main actor; everything that starts threads or hands callbacks to C is called
/// from here on in functions that do not.
nonisolated func start() -> Int32 { Program.run(Program.commandLine) }

exit(start())
