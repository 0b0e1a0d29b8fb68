import CLinux
package import Primitives

/// Lines for the system's log, sent without ever waiting for it.
struct SyslogSocket: ~Copyable {
    private let ident: ByteString
    private let facility: Int
    private var socket: Socket?

    init(ident: ByteString, facility: ByteString) {
        self.ident = ident
        self.facility = Self.number(of: facility)
    }

    /// `false` when the line was lost.
    mutating func send(_ level: Severity, _ text: ByteView, seconds: Int64, _ processID: Int32) -> Bool {
        var packet = ByteBuffer(capacity: 256)
        packet.append("<\(facility * 8 + level.priority)>")
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { room in
            let count = linux_syslog_time(seconds, room.baseAddress, room.count)
            packet.append(ByteView(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(room)[..<count])))
        }
        packet.append(0x20)
        packet.append(ident)
        packet.append("[\(processID)]: ")
        packet.append(text)
        // The daemon behind the socket may have been restarted: one more try on a fresh one.
        for _ in 0..<2 {
            if socket == nil { socket = Socket(result: linux_datagram_socket("/dev/log")) }
            guard let descriptor = socket?.descriptor else { return false }
            let view = packet.view
            switch Stream.send(descriptor, view.base, view.count) {
            case .moved: return true
            case .wouldBlock: return false
            case .failed: socket = nil
            }
        }
        return false
    }

    /// PgBouncer's names; everything else is `daemon`.
    static func number(of facility: ByteString) -> Int {
        switch facility.lossyText {
        case "auth": 4
        case "authpriv": 10
        case "user": 1
        case "local0": 16
        case "local1": 17
        case "local2": 18
        case "local3": 19
        case "local4": 20
        case "local5": 21
        case "local6": 22
        case "local7": 23
        default: 3
        }
    }
}

/// Tells the service manager how we are, if it asked for that.
package enum ServiceManager {
    /// systemd wants to know when a reload began.
    package static func reloading(_ now: Instant) -> ByteString {
        ByteString("RELOADING=1\nMONOTONIC_USEC=\(now.nanoseconds / 1000)\n")
    }

    /// One line for `systemctl status`: micro is a Greek letter there.
    package static func status(_ text: String) -> ByteString {
        let parts = text.split(separator: " us", omittingEmptySubsequences: false)
        return ByteString("STATUS=" + parts.joined(separator: " \u{3bc}s") + "\n")
    }

    /// The variable that names a descriptor for all this, where another process passes it on: a service
    /// manager listens to the process it has started, and to no child of it.
    package static let wayOn: StaticString = "PGLIDO_NOTIFY_FD"

    /// `directly`: by whoever passes things on.
    package static func tell(_ state: ByteString, directly: Bool = false) {
        if !directly, let wayOn = linux_environment(wayOn.cString).flatMap({ Int32(String(cString: $0)) }) {
            state.withView { _ = Stream.send(wayOn, $0.base, $0.count) }
            return
        }
        guard let path = linux_environment("NOTIFY_SOCKET") else { return }
        guard let socket = Socket(result: linux_datagram_socket(path)) else { return }
        state.withView { _ = Stream.send(socket.descriptor, $0.base, $0.count) }
    }
}
