import Daemon
import Glibc
import Primitives

/// Top-level code belongs to the main actor; everything that starts threads or hands callbacks to C is called from
/// here on in functions that do not.
nonisolated func words() -> [ByteString] {
    CommandLine.arguments.dropFirst().map { ByteString($0) }
}

exit(Program.run(words()))
