import Config
public import Primitives
import Session

/// What the log says of a link, in PgBouncer's words.
extension Switchboard {
    /// One line about a client: `C-0x…: database/user@address text`.
    mutating func log(
        _ level: LogLevel, _ client: ClientID, _ text: ByteString, into actions: inout ActionList
    ) {
        guard isLogged(level) else { return }
        let database = clients[client].database.map { databases[$0].name } ?? "(nodb)"
        let user = clients[client].user.map { users[$0].name } ?? "(nouser)"
        let peer = clients[client].peer
        let local = clients[client].local
        let link = LoggedLink(
            side: "C", pointer: Self.pointer(.client(client), of: crew.me), database: database, user: user,
            address: peer.text(local: local))
        let format = snapshot.global.logFormat
        actions.log(level) { link.write(text, format, into: &$0) }
    }

    /// One line about a server: `S-0x…: database/user@address text`.
    mutating func log(
        _ level: LogLevel, _ server: ServerID, _ text: ByteString, into actions: inout ActionList
    ) {
        guard isLogged(level) else { return }
        let pool = servers[server].pool
        let database = databases[pools[pool].database].name
        let user = users[pools[pool].user].name
        let endpoint = servers[server].endpoint
        let remote = servers[server].remote
        let link = LoggedLink(
            side: "S", pointer: Self.pointer(.server(server), of: crew.me), database: database, user: user,
            address: remote?.text(serverPort: endpoint.port) ?? endpoint.text)
        let format = snapshot.global.logFormat
        actions.log(level) { link.write(text, format, into: &$0) }
    }

    mutating func log(_ level: LogLevel, _ text: ByteString, into actions: inout ActionList) {
        guard isLogged(level) else { return }
        actions.log(level) { $0.append(text) }
    }

    func isLogged(_ level: LogLevel) -> Bool {
        switch level {
        case .fatal, .error, .warning, .log: true
        case .debug: snapshot.global.verbose >= 1
        case .noise: snapshot.global.verbose >= 2
        }
    }

    /// What stands for an address in `ptr` and `link` columns and in log lines.
    public static func pointer(_ link: LinkID, of worker: WorkerID = .keeper) -> String {
        let handle = link.handle
        var side: UInt64 = 0x5000_0000_0000
        if case .server = link { side = 0x6000_0000_0000 }
        side |= UInt64(worker.index) << 48
        let value = side | UInt64(handle.generation & 0xFFFF) << 28 | UInt64(handle.slot) << 6
        return String(value, radix: 16)
    }

    func age(since start: Instant, _ now: Instant) -> ByteString {
        ByteString(" (age=\(now.since(start).wholeSeconds)s)")
    }
}

/// What a log line says of the link it is about.
private struct LoggedLink {
    let side: StaticString
    let pointer: String
    let database: ByteString
    let user: ByteString
    let address: ByteString

    /// As text, or, for JSON, as parts with a zero byte before each, which no name can have.
    func write(_ text: ByteString, _ format: LogFormat, into buffer: inout ByteBuffer) {
        switch format {
        case .text:
            buffer.append(side)
            buffer.append("-0x")
            buffer.append(pointer)
            buffer.append(": ")
            buffer.append(database)
            buffer.append("/")
            buffer.append(user)
            buffer.append("@")
            buffer.append(address)
            buffer.append(" ")
        case .json:
            buffer.append(0)
            buffer.append(side)
            buffer.append(0)
            buffer.append(pointer)
            for part in [database, user, address] {
                buffer.append(0)
                buffer.append(part)
            }
            buffer.append(0)
        }
        buffer.append(text)
    }
}

extension SocketAddress {
    /// As log lines name a client: `127.0.0.1:5555`, `[::1]:5555`, `unix(PID):PORT`.
    public func text(local: SocketAddress) -> ByteString {
        switch family {
        case .unix: ByteString(processID > 0 ? "unix(\(processID)):\(local.port)" : "unix:\(local.port)")
        case .ipv4: ByteString("\(host):\(port)")
        case .ipv6: ByteString("[\(host)]:\(port)")
        }
    }

    /// As log lines name a server.
    public func text(serverPort: UInt16) -> ByteString {
        switch family {
        case .unix: ByteString("unix:\(serverPort)")
        case .ipv4: ByteString("\(host):\(port)")
        case .ipv6: ByteString("[\(host)]:\(port)")
        }
    }

    /// The address without its port: dotted decimal, RFC 5952 for IPv6, `unix`.
    public var host: String {
        switch family {
        case .unix: return "unix"
        case .ipv4:
            return (0..<4).map { String((high >> (56 - UInt64($0) * 8)) & 0xFF) }.joined(separator: ".")
        case .ipv6:
            let groups = (0..<8).map { index -> UInt64 in
                let word = index < 4 ? high : low
                return (word >> (48 - UInt64(index % 4) * 16)) & 0xFFFF
            }
            return Self.compressed(groups)
        }
    }

    private static func compressed(_ groups: [UInt64]) -> String {
        var best = 0..<0
        var start = 0
        while start < groups.count {
            var end = start
            while end < groups.count, groups[end] == 0 { end += 1 }
            if end - start > best.count { best = start..<end }
            start = max(end, start + 1)
        }
        let hex = groups.map { String($0, radix: 16) }
        guard best.count >= 2 else { return hex.joined(separator: ":") }
        return hex[..<best.lowerBound].joined(separator: ":") + "::"
            + hex[best.upperBound...].joined(separator: ":")
    }
}

extension Endpoint {
    public var text: ByteString {
        isUnix ? ByteString("unix:\(port)") : host.appending(ByteString(":\(port)"))
    }
}
