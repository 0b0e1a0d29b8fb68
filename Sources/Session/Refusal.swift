package import Primitives
import Wire

/// A sentence the pooler itself says to a client, as an ErrorResponse. PgBouncer's code and text where it has one,
/// because applications and people look for them; never secrets, never SQL.
package struct Refusal: Equatable, Sendable {
    package enum Severity: Sendable { case fatal, error }
    package var severity: Severity
    package var state: ByteString
    package var text: ByteString
    package var detail: ByteString?
    package var hint: ByteString?

    package init(
        _ text: ByteString, state: ByteString = "08P01", severity: Severity = .fatal, detail: ByteString? = nil,
        hint: ByteString? = nil
    ) {
        self.severity = severity
        self.state = state
        self.text = text
        self.detail = detail
        self.hint = hint
    }

    package func write(into buffer: inout ByteBuffer) {
        buffer.report(
            .errorResponse, severity: severity == .fatal ? "FATAL" : "ERROR", state: state, text: text,
            detail: detail, hint: hint)
    }
}

/// The table: everything that ends a client, by name.
extension Refusal {
    // before and during login
    package static let oldProtocol = Refusal("old V2 protocol not supported")
    package static let startupLayout = Refusal("invalid startup packet layout: expected terminator as last byte")
    package static let noUser = Refusal("no username supplied")
    package static let longUser = Refusal("username too long")
    package static let encryptedRequestTail = Refusal("received unencrypted data after SSL request")
    package static let gssRequestTail = Refusal("received unencrypted data after GSSAPI encryption request")
    package static let repeatedStartup = Refusal("client re-sent startup pkt")
    package static let earlyPassword = Refusal("client password pkt before startup packet")
    package static let notAllowed = Refusal("not allowed")
    package static let shuttingDown = Refusal("pooler is shutting down")
    package static let loginTimeout = Refusal("client_login_timeout")
    package static let loginTimeoutServerDown = Refusal("client_login_timeout (server down)")
    package static let badConfiguration = Refusal("bouncer config error")
    package static let options = Refusal(
        "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed")
    package static let maxClients = Refusal(
        "no more connections allowed (max_client_conn)",
        hint: "Raise max_client_conn, or close connections that are not in use.")
    package static let maxDatabaseClients = Refusal(
        "client connections exceeded (max_db_client_connections)")
    package static let maxUserClients = Refusal("client connections exceeded (max_user_client_connections)")

    // while logged in
    package static let unknownMessage = Refusal("unknown pkt")
    package static let queryWaitTimeout = Refusal(
        "query_wait_timeout",
        hint: "All server connections of the pool are in use; see pool_size and SHOW POOLS.")
    package static let queuedQueryTimeout = Refusal("query_timeout")
    package static let queryTimeout = Refusal("query timeout")
    package static let idleTransactionTimeout = Refusal("idle transaction timeout")
    package static let transactionTimeout = Refusal("transaction timeout")
    package static let clientIdleTimeout = Refusal("client_idle_timeout")
    package static let statementPooling = Refusal("transaction blocks not allowed in statement pooling mode")
    package static let serverCrashed = Refusal("server conn crashed?")
    package static let serverClosed = Refusal("server connection closed")
    package static let serverOutOfStep = Refusal("server conn crashed?", detail: "The server broke the protocol.")
    package static let parametersRejected = Refusal("invalid server parameter")
    package static let databaseRemoved = Refusal("database removed")
    package static let killed = Refusal("admin forced disconnect")
    package static let serverShutdown = Refusal("server shutting down")
    package static let configurationChanged = Refusal("database configuration changed")
    package static let brokenParse = Refusal("failed to parse packet")
    package static let messageTooLong = Refusal(
        "message too long to be held for prepared statements", state: "54000",
        hint: "Raise the limit or send it as an unnamed statement.")
    package static let tooManyStatements = Refusal(
        "too many prepared statements", state: "53000",
        hint: "Close statements that are no longer needed.")
    package static let canceled = Refusal(
        "canceling statement due to user request", state: "57014", severity: .error)
    package static let outOfRoom = Refusal("no more connections allowed", state: "53300")

    package static func badHeader(_ bytes: ByteView) -> Refusal {
        Refusal("bad packet header: '\(bytes.slice(0, 8).hexadecimal)'".bytes)
    }
    package static func unsupportedParameter(_ name: ByteView) -> Refusal {
        Refusal(ByteString("unsupported startup parameter: ").appending(name))
    }
    package static func unsupportedOption(_ name: ByteView) -> Refusal {
        Refusal(ByteString("unsupported startup parameter in options: ").appending(name))
    }
    package static func noDatabase(_ name: ByteString) -> Refusal {
        Refusal(ByteString("no such database: ").appending(name))
    }
    package static func disabledDatabase(_ name: ByteString) -> Refusal {
        Refusal(ByteString("database \"").appending(name).appending("\" is disabled"))
    }
    package static func loginFailing(_ cause: ByteString) -> Refusal {
        Refusal(
            ByteString("server login has been failing, cached error: ").appending(cause)
                .appending(" (server_login_retry)"))
    }
    /// What an unpooled server says about a Parse whose name is taken.
    package static func duplicateStatement(_ name: ByteString) -> Refusal {
        Refusal(
            ByteString("prepared statement \"").appending(name).appending("\" already exists"), state: "42P05",
            severity: .error)
    }
}

extension ByteString {
    package func appending(_ other: ByteString) -> ByteString { ByteString(bytes + other.bytes) }
    package func appending(_ other: ByteView) -> ByteString { ByteString(bytes + Array(other.rawBuffer)) }
}

extension String {
    package var bytes: ByteString { ByteString(self) }
}

extension ByteView {
    /// Lower-case hexadecimal digits, for our own messages.
    package var hexadecimal: String {
        let digits: [Character] = Array("0123456789abcdef")
        var text = ""
        for byte in rawBuffer {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return text
    }
}
