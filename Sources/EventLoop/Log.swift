import CLinux
package import Primitives

/// How urgent a line is, in PgBouncer's words and order.
package enum Severity: UInt8, Sendable {
    case fatal, error, warning, log, debug, noise

    var word: StaticString {
        switch self {
        case .fatal: "FATAL"
        case .error: "ERROR"
        case .warning: "WARNING"
        case .log: "LOG"
        case .debug: "DEBUG"
        case .noise: "NOISE"
        }
    }

    /// The priority for syslog.
    var priority: Int {
        switch self {
        case .fatal: 2
        case .error: 3
        case .warning: 4
        case .log: 6
        case .debug, .noise: 7
        }
    }
}

/// Where log lines go: standard error, a file, syslog. One event is one line; a target that fails, is full or
/// would block loses lines, which are counted, and nothing else happens (I15).
package struct Log: ~Copyable {
    package var onStandardError: Bool
    package var format = LogFormat.text
    package private(set) var lost = 0
    private var file: Socket?
    private var fileNeedsAsking = false
    private var syslog: SyslogSocket?
    private let errorNeedsAsking: Bool
    private var line = ByteBuffer(capacity: 4096)
    private var stampSecond: Int64 = .min
    private var stamp: [UInt8] = []
    private var processID = linux_process_id()

    package init(onStandardError: Bool) {
        self.onStandardError = onStandardError
        errorNeedsAsking = linux_is_plain_file(2) == 0
    }

    /// After a fork.
    package mutating func refreshProcessID() { processID = linux_process_id() }

    /// Opens a file to append to; until that has worked the old one is used on. 0 or an errno.
    package mutating func openFile(_ path: ByteString) -> Int32 {
        let opened = path.withCString { linux_open_log($0) }
        guard let socket = Socket(result: opened) else { return Int32(truncatingIfNeeded: -opened) }
        fileNeedsAsking = linux_is_plain_file(socket.descriptor) == 0
        file = consume socket
        return 0
    }

    package mutating func closeFile() { file = nil }

    package mutating func useSyslog(ident: ByteString, facility: ByteString) {
        syslog = SyslogSocket(ident: ident, facility: facility)
    }

    package mutating func stopSyslog() { syslog = nil }

    package mutating func write(_ level: Severity, _ text: ByteView) {
        let now = linux_wall_nanoseconds()
        let entry = LogEntry(text)
        line.removeAll(keeping: 4096)
        var message: ByteRange?
        switch format {
        case .text:
            appendStamp(now)
            line.append(" [")
            line.append(decimal: processID)
            line.append("] ")
            line.append(level.word)
            line.append(0x20)
            let start = line.count
            entry.appendText(to: &line)
            message = ByteRange(offset: start, count: line.count - start)
        case .json:
            entry.appendJSON(level, processID, nanoseconds: now, to: &line)
        }
        line.append(0x0A)
        if onStandardError { put(on: 2, asking: errorNeedsAsking) }
        if let descriptor = file?.descriptor { put(on: descriptor, asking: fileNeedsAsking) }
        let seconds = Int64(now / 1_000_000_000)
        guard syslog != nil else { return }
        if message == nil {
            // Syslog has fields of its own for the rest.
            let start = line.count
            entry.appendText(to: &line)
            message = ByteRange(offset: start, count: line.count - start)
        }
        if let message, syslog?.send(level, line.view(message), seconds: seconds, processID) == false {
            lost &+= 1
        }
    }

    package mutating func write(_ level: Severity, _ text: ByteString) { text.withView { write(level, $0) } }
    package mutating func write(_ level: Severity, _ text: String) { write(level, ByteString(text)) }

    /// A pipe or terminal is asked first whether it takes a line (up to 4096 bytes) without blocking.
    private mutating func put(on descriptor: Int32, asking: Bool) {
        if asking, linux_can_write_now(descriptor) == 0 {
            lost &+= 1
            return
        }
        let view = line.view
        if linux_write(descriptor, view.base, view.count) != view.count { lost &+= 1 }
    }

    private mutating func appendStamp(_ now: UInt64) {
        let second = Int64(now / 1_000_000_000)
        if second != stampSecond {
            stampSecond = second
            stamp = [UInt8](unsafeUninitializedCapacity: 64) { room, count in
                let text = UnsafeMutableRawPointer(room.baseAddress!).assumingMemoryBound(to: CChar.self)
                count = linux_local_time(second, text, 64)
            }
        }
        let digits = Int(now / 1_000_000 % 1000)
        let dateBytes = min(19, stamp.count)
        stamp.withUnsafeBytes { raw in
            let view = ByteView(raw)
            line.append(view.slice(0, dateBytes))
            line.append(0x2E)
            line.append(0x30 &+ UInt8(truncatingIfNeeded: digits / 100))
            line.append(0x30 &+ UInt8(truncatingIfNeeded: digits / 10 % 10))
            line.append(0x30 &+ UInt8(truncatingIfNeeded: digits % 10))
            line.append(view.slice(dateBytes))
        }
    }
}
