import Glibc
import Primitives

/// A trap, or an input without end, ends the process: the input is kept and named before it does.
enum Trap {
    // One thread runs the inputs, and the handlers interrupt that thread.
    nonisolated(unsafe) static var input: [UInt8] = []
    // As above.
    nonisolated(unsafe) static var fuzzer = ""
    // As above.
    nonisolated(unsafe) static var isReplay = ""

    /// Longest time one input may take before it counts as endless, in seconds.
    static let patienceSeconds: UInt32 = 30

    static func watch() {
        for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGALRM] {
            signal(number) { number in
                let what = number == SIGALRM ? "an input without end" : "a trap (signal \(number))"
                let path = Trap.isReplay.isEmpty ? Folder.keep(Trap.input, of: Trap.fuzzer) : Trap.isReplay
                print("FUZZ FAIL \(Trap.fuzzer): \(what)\n  replay: fuzz \(Trap.fuzzer) \(path)")
                fflush(nil)
                _exit(3)
            }
        }
    }
}
