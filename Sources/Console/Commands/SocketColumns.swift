import Engine
import Primitives
import Session

/// A link as SHOW prints it.
struct SocketReport {
    let isServer: Bool
    let user: ByteString
    let database: ByteString
    let replication: Replication.Kind?
    var state: ByteString
    let peer: ByteString
    let peerPort: Int
    let local: ByteString
    let localPort: Int
    let connectTime: ByteString
    let requestTime: ByteString
    let wait: TimeSpan
    let isRetiring: Bool
    let pointer: ByteString
    let link: ByteString
    let processID: Int
    let tls: ByteString
    let applicationName: ByteString
    let statements: Int
    let number: UInt64
    /// Bytes of the current message that have not come yet.
    let restBytes: Int
}

/// The columns of SHOW CLIENTS and SHOW SERVERS, and those that SHOW SOCKETS has beyond them.
enum SocketColumns {
    static let plain: [Column<SocketReport>] = [
        .text("type", "C for a client, S for a server") { $0.isServer ? "S" : "C" },
        .text("user", "User it is logged in as") { $0.user },
        .text("database", "Name of the database that clients ask for") { $0.database },
        .text("replication", "Kind of replication connection: none, logical or physical") {
            switch $0.replication {
            case .logical: "logical"
            case .physical: "physical"
            case nil: "none"
            }
        },
        .text("state", "What it is doing") { $0.state },
        .text("addr", "Address of the other end; unix for a unix socket") { $0.peer },
        .int4("port", "Port of the other end") { $0.peerPort },
        .text("local_addr", "Our address") { $0.local },
        .int4("local_port", "Our port") { $0.localPort },
        .text("connect_time", "When the connection was made") { $0.connectTime },
        .text("request_time", "When the last request came") { $0.requestTime },
        .int4("wait", "How long its current query has waited or run, in whole seconds") {
            $0.wait.wholeSeconds
        },
        .int4("wait_us", "The microseconds beyond these seconds") { $0.wait.wholeMicroseconds % 1_000_000 },
        .int4("close_needed", "1 for a server that is closed as soon as it is free") {
            $0.isRetiring ? 1 : 0
        },
        .text("ptr", "What names the connection in log lines") { $0.pointer },
        .text("link", "The ptr of the connection it is paired with; empty for none") { $0.link },
        .int4("remote_pid", "Process at the other end; 0 when it is not known") { $0.processID },
        .text("tls", "TLS version and cipher; empty without TLS") { $0.tls },
        .text("application_name", "Application name in force") { $0.applicationName },
        .int4("prepared_statements", "Prepared statements followed") { $0.statements },
        .int4("id", "Number of the connection, one count for all") { Int(clamping: $0.number) },
    ]

    static let withBuffers: [Column<SocketReport>] =
        plain + [
            .int4("recv_pos", "Received bytes held in its buffer") { _ in 0 },
            .int4("pkt_pos", "Of these, bytes looked at") { _ in 0 },
            .int4("pkt_remain", "Bytes of the current message still to come") { $0.restBytes },
            .int4("send_pos", "Always 0") { _ in 0 },
            .int4("send_remain", "Always 0") { _ in 0 },
            .int4("pkt_avail", "Always 0") { _ in 0 },
            .int4("send_avail", "Always 0") { _ in 0 },
        ]
}

extension Switchboard {
    func report(_ client: ClientID, in pool: PoolID?, state: ByteString, at moment: Moment) -> SocketReport {
        let local = clients[client].local
        let peer = clients[client].peer
        var since = clients[client].querySince
        if clients[client].phase == .waiting { since = clients[client].waitingSince }
        let database = pool.map { pools[$0].database } ?? clients[client].database
        return SocketReport(
            isServer: false, user: clients[client].user.map { users[$0].name } ?? "(nouser)",
            database: database.map { databases[$0].name } ?? "(nodb)",
            replication: clients[client].replication?.kind, state: state,
            peer: ByteString(peer.host), peerPort: Int(peer.family == .unix ? local.port : peer.port),
            local: ByteString(local.host), localPort: Int(local.port),
            connectTime: moment.clock.text(clients[client].connectedAt),
            requestTime: moment.clock.text(clients[client].requestAt),
            wait: since == .zero ? .zero : moment.now.since(since), isRetiring: false,
            pointer: ByteString("0x" + Self.pointer(.client(client), of: crew.me)),
            link: ByteString(
                clients[client].server.map { "0x" + Self.pointer(.server($0), of: crew.me) } ?? ""),
            processID: Int(peer.processID), tls: clients[client].encryption?.text ?? "",
            applicationName: applicationName(clients[client].parameters),
            statements: clients[client].statements?.count ?? 0, number: clients[client].number,
            restBytes: clients[client].restBytes)
    }

    func report(_ server: ServerID, state: ByteString, at moment: Moment) -> SocketReport {
        let pool = servers[server].pool
        let endpoint = servers[server].endpoint
        let remote = servers[server].remote
        let local = servers[server].local
        let isUnix = remote.map { $0.family == .unix } ?? endpoint.isUnix
        let host = remote?.host.bytes ?? (isUnix ? "unix" : endpoint.host)
        let fromSocket = Int(remote?.processID ?? 0)
        return SocketReport(
            isServer: true, user: users[pools[pool].user].name,
            database: databases[pools[pool].database].name,
            replication: servers[server].replication?.kind, state: state, peer: host,
            peerPort: Int(isUnix ? endpoint.port : remote?.port ?? endpoint.port),
            local: local.map { ByteString($0.host) } ?? "",
            localPort: Int(isUnix ? endpoint.port : local?.port ?? 0),
            connectTime: moment.clock.text(servers[server].openedAt),
            requestTime: moment.clock.text(servers[server].requestAt), wait: .zero,
            isRetiring: servers[server].retirement != nil,
            pointer: ByteString("0x" + Self.pointer(.server(server), of: crew.me)),
            link: ByteString(
                servers[server].client.map { "0x" + Self.pointer(.client($0), of: crew.me) } ?? ""),
            processID: fromSocket > 0 ? fromSocket : Int(servers[server].processID),
            tls: servers[server].encryption?.text ?? "",
            applicationName: applicationName(servers[server].parameters),
            statements: servers[server].statements.count, number: servers[server].number,
            restBytes: servers[server].restBytes)
    }

    private func applicationName(_ set: ParameterSetID) -> ByteString {
        let name: ByteString = "application_name"
        guard let index = name.withView({ parameters.startupIndex($0) }) else { return "" }
        return parameters.value(index, in: set) ?? ""
    }

    /// The clients of each pool that are logged in, in the order of their slots.
    func clientsByPool() -> [PoolID: [ClientID]] {
        var found: [PoolID: [ClientID]] = [:]
        for client in clientIDs {
            let isConsole = clients[client].phase == .console
            guard let pool = isConsole ? consolePool : clients[client].pool else { continue }
            if clients[client].phase != .cancelRequest { found[pool, default: []].append(client) }
        }
        return found
    }

    func serversByPool() -> [PoolID: [ServerID]] {
        var found: [PoolID: [ServerID]] = [:]
        for server in serverIDs { found[servers[server].pool, default: []].append(server) }
        return found
    }

    /// Whether a client stands in line, with a query or at the end of its login.
    func isInLine(_ client: ClientID) -> Bool {
        clients[client].phase == .waiting || clients[client].phase == .awaitingWelcome
    }
}
