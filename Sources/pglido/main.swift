import Daemon
import Glibc
import Primitives

/// Top-level code belongs to the main actor; everything that starts threads or hands callbacks to C is called from
/// here on in functions that do not.
nonisolated func words() -> [ByteString] {
    // Bytes as they are: a path need not be UTF-8.
    (1..<max(1, Int(CommandLine.argc))).compactMap { place in
        CommandLine.unsafeArgv[place].map { word in
            ByteString(ByteView(UnsafeRawBufferPointer(start: word, count: strlen(word))))
        }
    }
}

exit(Program.run(words()))
