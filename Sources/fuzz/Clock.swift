import Glibc

/// What an input costs.
enum Clock {
    static var nanoseconds: Int { read(CLOCK_MONOTONIC) }
    static var processorNanoseconds: Int { read(CLOCK_THREAD_CPUTIME_ID) }
    static var wallNanoseconds: Int { read(CLOCK_REALTIME) }

    private static func read(_ clock: clockid_t) -> Int {
        var time = timespec()
        clock_gettime(clock, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    /// The most memory the process ever had in use.
    static var peakKilobytes: Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss
    }
}
