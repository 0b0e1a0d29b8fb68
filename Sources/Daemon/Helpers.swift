import Auth
import CLinux
import Engine
import EventLoop
import Primitives

/// Threads that do what may take long (`SideJob`) in the place of one worker: PBKDF2, programs, names of
/// system users, files. Started with the first job; results come back through a descriptor that the worker
/// watches.
///
/// `@unchecked Sendable`: everything that changes is behind the gate's lock.
final class Helpers: @unchecked Sendable {
    /// Threads of one worker. PBKDF2 keeps one busy, a program that hangs another.
    private static let threads = 3
    /// Jobs in line. What comes when it is full is refused, and the engine says so to whoever waits.
    private static let lineLimit = 8192
    /// Of what a program prints, in bytes: the longest password, and the end of its line.
    private static let outputBytes = 65_532

    private let gate: OpaquePointer
    private let bell: Socket
    private var jobs: [NumberedSideJob] = []
    private var nextJob = 0
    private var results: [(number: UInt64, result: SideResult)] = []
    private var running = 0

    /// `nil` when the kernel gives no descriptor.
    init?() {
        guard let bell = Socket(result: linux_eventfd()) else { return nil }
        self.bell = bell
        gate = linux_gate_make()
    }

    deinit { linux_gate_free(gate) }

    var descriptor: Int32 { bell.descriptor }

    /// Hands jobs over. Called by the worker.
    func give(_ more: [NumberedSideJob]) {
        locked {
            for job in more {
                if jobs.count - nextJob >= Self.lineLimit {
                    answer(job.number, .failed("too much is being asked for at once"))
                } else {
                    jobs.append(job)
                    startThread()
                    linux_gate_signal(gate)
                }
            }
        }
    }

    /// What is done. Called by the worker when the descriptor is readable.
    func takeResults() -> [(number: UInt64, result: SideResult)] {
        var count: UInt64 = 0
        _ = linux_read(bell.descriptor, &count, 8)
        return locked {
            defer { results = [] }
            return results
        }
    }

    private func locked<R>(_ body: () -> R) -> R {
        linux_gate_lock(gate)
        defer { linux_gate_unlock(gate) }
        return body()
    }

    /// Under the lock.
    private func answer(_ number: UInt64, _ result: SideResult) {
        results.append((number, result))
        var one: UInt64 = 1
        _ = linux_write(bell.descriptor, &one, 8)
    }

    /// Under the lock. A thread keeps this object alive for ever, as the worker does.
    private func startThread() {
        guard running < Self.threads, running < jobs.count - nextJob else { return }
        let body: @convention(c) (UnsafeMutableRawPointer?) -> Void = { @Sendable owner in
            guard let owner else { return }
            Unmanaged<Helpers>.fromOpaque(owner).takeRetainedValue().work()
        }
        let owner = Unmanaged.passRetained(self)
        if linux_start_thread(body, owner.toOpaque()) == 0 {
            running += 1
        } else {
            owner.release()
            if running == 0 { failAll() }
        }
    }

    /// Under the lock: there is nobody to do anything.
    private func failAll() {
        for job in jobs[nextJob...] { answer(job.number, .failed("no thread could be started")) }
        jobs = []
        nextJob = 0
    }

    /// The life of a thread.
    private func work() {
        while true {
            linux_gate_lock(gate)
            while nextJob >= jobs.count { linux_gate_wait(gate) }
            let job = jobs[nextJob]
            nextJob += 1
            if nextJob == jobs.count {
                jobs.removeAll(keepingCapacity: jobs.count < 64)
                nextJob = 0
            }
            linux_gate_unlock(gate)
            let result = Self.carryOut(job.job)
            locked { answer(job.number, result) }
        }
    }

    // MARK: What is done

    private static func carryOut(_ job: SideJob) -> SideResult {
        switch job {
        case .derive(let secret, let salt, let iterations):
            return .keys(
                secret.withView { ScramKeys.derive(password: $0, salt: salt, iterations: iterations) })
        case .systemUser(let user): return name(of: user)
        case .run(let command, let limit): return run(command, limit)
        case .read(let path):
            let (bytes, error) = Files.read(path)
            return bytes.map { .text($0) } ?? .failed(errorText(error))
        }
    }

    private static func name(of user: UInt32) -> SideResult {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { room in
            let count = linux_user_name(user, room.baseAddress, room.count)
            if count < 0 { return .failed(errorText(Int32(truncatingIfNeeded: -count))) }
            if count == 0 { return .failed(ByteString("user id \(user) has no name")) }
            return .text(
                ByteString(ByteView(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])))
            )
        }
    }

    private static func run(_ command: ByteString, _ limit: TimeSpan) -> SideResult {
        let milliseconds = Int32(clamping: limit.nanoseconds / 1_000_000)
        return withUnsafeTemporaryAllocation(byteCount: outputBytes, alignment: 8) { room in
            defer { room.initializeMemory(as: UInt8.self, repeating: 0) }
            var status: Int32 = 0
            let count = command.withCString {
                linux_run_program($0, room.baseAddress, room.count, milliseconds, &status)
            }
            if count >= 0 {
                return .text(
                    ByteString(
                        ByteView(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count]))))
            }
            switch -count {
            case Int(linux_no_child):
                let ending = status & 0x7F == 0 ? "exit status \(status >> 8)" : "signal \(status & 0x7F)"
                return .failed(ByteString("the program ended with " + ending))
            case Int(linux_timed_out): return .failed("the program took too long")
            case Int(linux_too_large): return .failed("the program printed too much")
            default: return .failed(errorText(Int32(truncatingIfNeeded: -count)))
            }
        }
    }
}
