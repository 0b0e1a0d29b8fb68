import CLinux
import Engine
import EventLoop
import Primitives
import Wire

/// The running process that a new one takes over from (`-R`): ours or PgBouncer's, by way of its console.
///
/// As long as it has not been told to end nothing is lost: when we go away it goes on by itself.
struct Predecessor: ~Copyable {
    private let socket: Socket
    private var received = ByteBuffer(capacity: 64 * 1024)
    private var used = 0
    /// Descriptors that came and belong to rows not read yet.
    private var descriptors: [Int32] = []
    /// Longest silence, in milliseconds: SUSPEND may take as long as `suspend_timeout`.
    private let patience: Int32

    private static var roomBytes: Int { 32 * 1024 }
    /// Longest row: what one client has sent and not got answered is in it, as text.
    private static var rowLimitBytes: UInt32 { 256 * 1024 * 1024 }
    /// Longest time for the old process to end, in milliseconds.
    private static var endPatience: Int32 { 30_000 }

    private init(_ socket: consuming Socket, patience: Int32) {
        self.socket = socket
        self.patience = patience
    }

    // MARK: Finding it

    /// `nil` when nobody listens on the Unix socket: then this is a start like any other. Fails where a
    /// takeover cannot be right.
    static func find(_ settings: ProcessSettings, _ log: inout Log) throws(StartFailure) -> Predecessor? {
        guard settings.workers == 1 else {
            throw StartFailure(
                text: "online restart (-R) is not available with several workers, use so_reuseport instead")
        }
        guard !settings.unixSocketDirectory.isEmpty else {
            throw StartFailure(text: "cannot reboot if unix dir not configured")
        }
        guard settings.unixSocketDirectory.bytes.first != 0x40 else {
            throw StartFailure(text: "cannot reboot with abstract Unix socket")
        }
        guard linux_environment("LISTEN_FDS") == nil else {
            throw StartFailure(text: "cannot reboot under service manager")
        }
        let path = UnixPath.path(directory: settings.unixSocketDirectory, port: settings.listenPort)
        guard let socket = Socket(result: linux_stream_socket(UInt32(LINUX_UNIX))) else {
            throw StartFailure(text: "failed to create unix socket")
        }
        let answer = path.withCString { linux_connect_unix(socket.descriptor, $0, path.count) }
        guard answer == 0 else {
            let reason = errorText(Int32(truncatingIfNeeded: -answer)).lossyText
            if answer != -Int(linux_refused), answer != -Int(linux_not_found) {
                throw StartFailure(text: "takeover: cannot connect to unix:\(path.lossyText): \(reason)")
            }
            log.write(.log, "old process not found, try to continue normally")
            return nil
        }
        log.write(.warning, "Online restart is deprecated, use so_reuseport instead")
        log.write(.log, "takeover_init: launching connection")
        let flushing = settings.suspendTimeout.isZero ? 3600 : settings.suspendTimeout.wholeSeconds
        return Predecessor(socket, patience: Int32(clamping: (min(flushing, 3600) + 20) * 1000))
    }

    // MARK: What it tells

    /// Logs in, has it SUSPEND, and takes in what SHOW FDS says.
    mutating func tellEstate(_ log: inout Log) throws(StartFailure) -> Estate {
        try logIn()
        log.write(.log, "login OK, sending SUSPEND")
        try ask("SUSPEND") { _, _ in true }
        log.write(.log, "SUSPEND finished, sending SHOW FDS")
        var estate = Estate()
        try ask("SHOW FDS") { row, descriptor in estate.add(row, next: descriptor) }
        log.write(.log, "SHOW FDS finished")
        guard !estate.listeners.isEmpty else {
            throw StartFailure(text: "takeover: the old process has handed over no listening socket")
        }
        log.write(.log, "disko over, going background")
        return estate
    }

    private mutating func logIn() throws(StartFailure) {
        var packet = ByteBuffer(capacity: 256)
        packet.append(uint32: 0)
        packet.append(uint32: 3 << 16)
        for text: ByteString in [
            "user", "pgbouncer", "database", "pgbouncer", "application_name", Heirloom.applicationName,
        ] {
            packet.append(cString: text)
        }
        packet.append(0)
        packet.set(uint32: UInt32(packet.count), at: 0)
        try send(packet.view)
        while true {
            let (kind, body) = try next()
            switch kind {
            case ServerMessageKind.authentication.rawValue:
                guard body.withView({ $0.uint32(at: 0) }) == AuthenticationRequest.ok.rawValue else {
                    throw StartFailure(
                        text: "login failed: the old process wants a password; it must run as the same user")
                }
            case ServerMessageKind.readyForQuery.rawValue: return
            case ServerMessageKind.errorResponse.rawValue: throw refused("login", body)
            default: break
            }
        }
    }

    /// One command of the console, to its ReadyForQuery. `row` takes each row, and the next descriptor with
    /// it.
    private mutating func ask(
        _ command: StaticString, row: (FDCells, () -> Int32?) -> Bool
    ) throws(StartFailure) {
        var packet = ByteBuffer(capacity: 64)
        packet.message(ClientMessageKind.query) { $0.append(cString: command) }
        try send(packet.view)
        while true {
            let (kind, body) = try next()
            switch kind {
            case ServerMessageKind.dataRow.rawValue:
                var waiting = descriptors
                let cells = body.withView { FDCells($0) }
                let isGood = cells.map { row($0) { waiting.isEmpty ? nil : waiting.removeFirst() } } ?? false
                descriptors = waiting
                guard isGood else {
                    throw StartFailure(text: "takeover: \(command) has brought a row that is not understood")
                }
            case ServerMessageKind.readyForQuery.rawValue: return
            case ServerMessageKind.errorResponse.rawValue: throw refused("\(command)", body)
            default: break
            }
        }
    }

    private func refused(_ what: String, _ body: ByteString) -> StartFailure {
        let text = body.withView { ServerMessage.field(0x4D, of: $0).map { ByteString($0) } } ?? ""
        let hint = body.withView { ServerMessage.field(0x48, of: $0).map { ByteString($0) } } ?? ""
        let tail = hint.isEmpty ? "" : " (\(hint.lossyText))"
        return StartFailure(text: "takeover: the old process refuses \(what): \(text.lossyText)\(tail)")
    }

    // MARK: Its end

    /// Tells it to end, and waits until it has: from here on the sessions are ours.
    mutating func end(_ pidfile: Pidfile, _ log: inout Log) throws(StartFailure) {
        log.write(.log, "sending SHUTDOWN;")
        var packet = ByteBuffer(capacity: 64)
        packet.message(ClientMessageKind.query) { $0.append(cString: "SHUTDOWN") }
        try send(packet.view)
        while try receive(within: Self.endPatience) > 0 { received.removeAll() }
        if !pidfile.path.isEmpty {
            log.write(.log, "waiting for old pidfile to go away")
            try pidfile.awaitEnd(milliseconds: Self.endPatience)
        }
        log.write(.log, "old process killed, resuming work")
    }

    // MARK: Bytes

    private func send(_ view: ByteView) throws(StartFailure) {
        guard linux_send(socket.descriptor, view.base, view.count) == view.count else {
            throw StartFailure(text: "takeover: the old process takes nothing")
        }
    }

    /// The next message and its body.
    private mutating func next() throws(StartFailure) -> (kind: UInt8, body: ByteString) {
        while true {
            let view = received.view.slice(used)
            switch view.frame(at: 0, limitBytes: Self.rowLimitBytes) {
            case .header(let header) where header.messageBytes <= view.count:
                let body = view.slice(FrameHeader.byteCount, header.messageBytes - FrameHeader.byteCount)
                let message = (header.kind, ByteString(body))
                used += header.messageBytes
                return message
            case .malformed:
                throw StartFailure(text: "takeover: the old process says what is no message")
            case .header, .incomplete:
                if used > 0 {
                    let rest = ByteString(view)
                    received.removeAll(keeping: Int.max)
                    received.append(rest)
                    used = 0
                }
                guard try receive(within: patience) > 0 else {
                    throw StartFailure(text: "takeover: the old process has closed the connection")
                }
            }
        }
    }

    /// Reads once, with the descriptors that come. 0 at the end.
    private mutating func receive(within milliseconds: Int32) throws(StartFailure) -> Int {
        while true {
            guard linux_wait_ready(socket.descriptor, 0, milliseconds) != 0 else {
                throw StartFailure(text: "takeover: the old process does not answer")
            }
            let result = receiveNow()
            if result == -Int(linux_again) || result == -Int(linux_interrupted) { continue }
            // A process that ends at once may take the connection with it.
            if result == -Int(linux_reset) { return 0 }
            guard result >= 0 else {
                let reason = errorText(Int32(truncatingIfNeeded: -result)).lossyText
                throw StartFailure(text: "takeover: recvmsg(): \(reason)")
            }
            return result
        }
    }

    private mutating func receiveNow() -> Int {
        var passed = [Int32](repeating: -1, count: Int(LINUX_PASSED))
        var count: Int32 = 0
        let descriptor = socket.descriptor
        let (result, bytes) = withUnsafeTemporaryAllocation(byteCount: Self.roomBytes, alignment: 8) { room in
            let result = linux_receive_with_sockets(descriptor, room.baseAddress, room.count, &passed, &count)
            let read = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<max(0, result)])
            return (result, ByteString(ByteView(read)))
        }
        descriptors += passed.prefix(Int(count))
        received.append(bytes)
        return result
    }
}
