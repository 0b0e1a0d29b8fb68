package import Engine
package import Primitives
import Session
import Wire

/// Part of PgBouncer's online restart: it hands out sockets, cancel keys and passwords. The driver writes the
/// rows, because only it knows the sockets.
struct ShowFDs: OrderCommand {
    static let words = "SHOW FDS"
    static let doc =
        "Open sockets, for the process that takes over (-R); on the Unix socket it gets them with the rows."

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        if !switchboard.crew.isAlone {
            return .failed(
                .console(
                    "SHOW FDS is not available with several workers", state: "0A000",
                    hint: "Use so_reuseport for a restart without a gap; SHOW SOCKETS shows what is open."))
        }
        return .handsOver
    }
}

/// One row of SHOW FDS.
package struct FDRow: Sendable {
    /// A listening socket, or an heirloom with or without a socket.
    package enum Content: Sendable {
        case listener(address: ByteString, port: UInt16)
        case heirloom(Heirloom)
    }
    let content: Content
    package let descriptor: Int32
    let partner: Int32
    /// What the receiver's link has been sent and not answered, and what it has no column for.
    let kept: ByteString

    /// 0 stands for no descriptor.
    package init(_ content: Content, descriptor: Int32, partner: Int32 = 0, kept: ByteString = "") {
        self.content = content
        self.descriptor = descriptor
        self.partner = partner
        self.kept = kept
    }

    fileprivate var heirloom: Heirloom? {
        if case .heirloom(let heirloom) = content { return heirloom }
        return nil
    }

    fileprivate var task: ByteString {
        guard let heirloom else { return "pooler" }
        return switch heirloom.task {
        case .client: "client"
        case .server: "server"
        case .pool: "pool"
        case .prepared: "statement"
        }
    }

    fileprivate var address: (host: ByteString, port: UInt16) {
        switch content {
        case .listener(let address, let port): (address, port)
        case .heirloom(let heirloom): (ByteString(heirloom.address.host), heirloom.address.port)
        }
    }

    private static let columns: [Column<FDRow>] = [
        .int4("fd", "Number of the socket") { Int($0.descriptor) },
        .text("task", "pooler for a listening socket, client or server") { $0.task },
        .text("user", "User it is logged in as") { $0.heirloom?.user },
        .text("database", "Name of the database that clients ask for") { $0.heirloom?.database },
        .text("addr", "Address of the other end, or listened on; unix for a unix socket") { $0.address.host },
        .int4("port", "Its port") { Int($0.address.port) },
        .int8("cancel", "Cancel key") { Int(truncatingIfNeeded: $0.heirloom?.key ?? 0) },
        .int4("link", "The fd of the connection it is paired with; 0 for none") { Int($0.partner) },
        .text("client_encoding", "Parameter in force") { $0.heirloom?.clientEncoding },
        .text("std_strings", "Parameter in force") { $0.heirloom?.standardStrings },
        .text("datestyle", "Parameter in force") { $0.heirloom?.dateStyle },
        .text("timezone", "Parameter in force") { $0.heirloom?.timeZone },
        .text("password", "Secret that auth_query has told") { $0.heirloom?.password },
        .bytea("scram_client_key", "For logging in to servers as this user") { $0.heirloom?.clientKey },
        .bytea("scram_server_key", "For logging in to servers as this user") { $0.heirloom?.serverKey },
    ]
    /// For another process of ours.
    private static let stateColumns: [Column<FDRow>] = [
        .bytea("kept", "Bytes received and not dealt with") { $0.kept },
        .bytea("state", "What has no column") { $0.heirloom?.state },
    ]

    private static func columns(withState: Bool) -> [Column<FDRow>] {
        withState ? columns + stateColumns : columns
    }

    package static func writeHeader(withState: Bool, into buffer: inout ByteBuffer) {
        buffer.rowDescription(columns(withState: withState).map(\.header), .text)
    }

    package func write(withState: Bool, into buffer: inout ByteBuffer) {
        buffer.dataRow(Self.columns(withState: withState).map { $0.value(self) }, .text)
    }

    /// What follows the rows.
    package static func writeEnd(into buffer: inout ByteBuffer) {
        buffer.commandComplete("SHOW")
        buffer.readyForQuery(.idle)
    }
}
