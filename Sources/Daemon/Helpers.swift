import Auth
import CLinux
import Engine
import EventLoop
import Primitives

/// What may take long (`SideJob`), done in the place of one worker by threads of four lines: one that
/// computes (PBKDF2), one that waits (programs, names of system users, files), one for LDAP and one for PAM,
/// so that what hangs in one keeps nobody in another. Results come back through a descriptor that the worker
/// watches.
final class Helpers {
    /// More than this would take the processors away from the workers.
    private static let computingThreads = 2
    /// So many programs may hang at once before the others stand in line.
    private static let waitingThreads = 4
    /// LDAP servers are asked about so many logins at once.
    private static let directoryThreads = 8
    /// And PAM, whose modules may make a wrong password wait.
    private static let pluggableThreads = 4

    private let done: HelperResults
    private let computing: HelperLine
    private let waiting: HelperLine
    private let directory: HelperLine
    private let pluggable: HelperLine

    /// `nil` when the kernel gives no descriptor.
    init?() {
        guard let done = HelperResults() else { return nil }
        self.done = done
        computing = HelperLine(threads: Self.computingThreads, done)
        waiting = HelperLine(threads: Self.waitingThreads, done)
        directory = HelperLine(threads: Self.directoryThreads, done)
        pluggable = HelperLine(threads: Self.pluggableThreads, done)
    }

    var descriptor: Int32 { done.descriptor }

    func give(_ jobs: [NumberedSideJob]) {
        for job in jobs {
            switch job.job {
            case .derive: computing.give(job)
            case .systemUser, .run, .read, .hostName: waiting.give(job)
            case .ldap: directory.give(job)
            case .pam: pluggable.give(job)
            case .withdraw: for line in [waiting, directory, pluggable] { line.withdraw(job.number) }
            }
        }
    }

    /// What is done; to be asked for when the descriptor is readable.
    func takeResults() -> [(number: UInt64, result: SideResult)] { done.take() }
}

/// What the threads have done, and the bell they ring for it.
///
/// `@unchecked Sendable`: what changes is behind the gate's lock.
private final class HelperResults: @unchecked Sendable {
    private let gate = linux_gate_make()
    private let bell: Socket
    private var results: [(number: UInt64, result: SideResult)] = []

    init?() {
        guard let bell = Socket(result: linux_eventfd()) else { return nil }
        self.bell = bell
    }

    deinit { linux_gate_free(gate) }

    var descriptor: Int32 { bell.descriptor }

    func put(_ number: UInt64, _ result: SideResult) {
        linux_gate_lock(gate)
        results.append((number, result))
        linux_gate_unlock(gate)
        var one: UInt64 = 1
        _ = linux_write(bell.descriptor, &one, 8)
    }

    func take() -> [(number: UInt64, result: SideResult)] {
        var count: UInt64 = 0
        _ = linux_read(bell.descriptor, &count, 8)
        linux_gate_lock(gate)
        defer { linux_gate_unlock(gate) }
        defer { results = [] }
        return results
    }
}

/// Jobs in line and the threads that take them, started as they are needed. A thread stays, and keeps its
/// line, as long as the process.
///
/// `@unchecked Sendable`: what changes is behind the gate's lock.
private final class HelperLine: @unchecked Sendable {
    /// Jobs in line. What comes when it is full is refused, and the engine says so to whoever waits.
    private static let limit = 8192
    /// Of what a program prints, in bytes: the longest password, and the end of its line.
    private static let outputBytes = 65_532

    private let threads: Int
    private let done: HelperResults
    private let directoryLogin = DirectoryLogin()
    private let gate = linux_gate_make()
    private var jobs: [NumberedSideJob] = []
    private var running = 0
    private var idle = 0

    init(threads: Int, _ done: HelperResults) {
        self.threads = threads
        self.done = done
    }

    deinit { linux_gate_free(gate) }

    func give(_ job: NumberedSideJob) {
        linux_gate_lock(gate)
        defer { linux_gate_unlock(gate) }
        if jobs.count >= Self.limit {
            return done.put(job.number, .failed("too much is being asked for at once"))
        }
        jobs.append(job)
        if idle < jobs.count, running < threads { startThread() }
        linux_gate_signal(gate)
    }

    /// The job is done by nobody, if nobody has begun with it.
    func withdraw(_ number: UInt64) {
        linux_gate_lock(gate)
        defer { linux_gate_unlock(gate) }
        jobs.removeAll { $0.number == number }
    }

    /// Under the lock.
    private func startThread() {
        let body: @convention(c) (UnsafeMutableRawPointer?) -> Void = { @Sendable owner in
            guard let owner else { return }
            Unmanaged<HelperLine>.fromOpaque(owner).takeRetainedValue().work()
        }
        let owner = Unmanaged.passRetained(self)
        if linux_start_thread(body, owner.toOpaque()) == 0 {
            running += 1
            return
        }
        owner.release()
        // There is nobody to do anything.
        while running == 0, !jobs.isEmpty {
            done.put(jobs.removeFirst().number, .failed("no thread could be started"))
        }
    }

    /// The life of a thread.
    private func work() {
        while true {
            linux_gate_lock(gate)
            idle += 1
            while jobs.isEmpty { linux_gate_wait(gate) }
            idle -= 1
            let job = jobs.removeFirst()
            linux_gate_unlock(gate)
            done.put(job.number, carryOut(job.job))
        }
    }

    // MARK: What is done

    private func carryOut(_ job: SideJob) -> SideResult {
        switch job {
        case .derive(let secret, let salt, let iterations):
            return .keys(
                secret.withView { ScramKeys.derive(password: $0, salt: salt, iterations: iterations) })
        case .systemUser(let user): return Self.name(of: user)
        case .run(let command, let limit): return Self.run(command, limit)
        case .read(let path):
            let (bytes, error) = Files.read(path)
            return bytes.map { .text($0) } ?? .failed(errorText(error))
        case .ldap(let options, let user, let password):
            let refusal = directoryLogin.refusal(options, user: user, password: password)
            return refusal.map { .failed($0) } ?? .allowed
        case .pam(let service, let user, let password, let host):
            let refusal = PluggableLogin.refusal(
                service: service, user: user, password: password, host: host)
            return refusal.map { .failed($0) } ?? .allowed
        case .hostName, .withdraw: return .failed("not the business of a helper")
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
