import Glibc

/// A trap ends the process: this says which seed it was.
enum Trap {
    /// Written by the one thread there is, read by its signal handler.
    nonisolated(unsafe) static var seed: UInt64 = 0

    static func watch() {
        for number in [SIGILL, SIGTRAP, SIGSEGV, SIGABRT] {
            signal(number) { number in
                print("SIM FAIL I9 trap \(number) replay: simulate --seed \(Trap.seed) --trace")
                fflush(nil)
                _exit(3)
            }
        }
    }
}
