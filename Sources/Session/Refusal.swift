public import Primitives
import Wire

/// A sentence the pooler itself says to a client, as an ErrorResponse. PgBouncer's code and text where it has
/// one, because applications and people look for them; never secrets, never SQL.
public struct Refusal: Equatable, Sendable {
    public enum Severity: Sendable { case fatal, error }
    public var severity: Severity
    public var state: ByteString
    public var text: ByteString
    public var detail: ByteString?
    public var hint: ByteString?

    public init(
        _ text: ByteString, state: ByteString = "08P01", severity: Severity = .fatal,
        detail: ByteString? = nil,
        hint: ByteString? = nil
    ) {
        self.severity = severity
        self.state = state
        self.text = text
        self.detail = detail
        self.hint = hint
    }

    public func write(into buffer: inout ByteBuffer, position: Int? = nil) {
        buffer.report(
            .errorResponse, severity: severity == .fatal ? "FATAL" : "ERROR", state: state, text: text,
            detail: detail, hint: hint, position: position)
    }
}

/// The table: everything that ends a client, by name.
extension Refusal {
    // before and during login
    public static let oldProtocol = Refusal("old V2 protocol not supported")
    public static let startupLayout = Refusal(
        "invalid startup packet layout: expected terminator as last byte")
    public static let noUser = Refusal("no username supplied")
    public static let longUser = Refusal("username too long")
    public static let encryptedRequestTail = Refusal("received unencrypted data after SSL request")
    public static let gssRequestTail = Refusal("received unencrypted data after GSSAPI encryption request")
    public static let tlsRequired = Refusal(
        "SSL required", hint: "Connect with sslmode=require, or change client_tls_sslmode.")
    public static let repeatedStartup = Refusal("client re-sent startup pkt")
    public static let earlyPassword = Refusal("client password pkt before startup packet")
    public static let notAllowed = Refusal("not allowed")
    public static let shuttingDown = Refusal("pooler is shutting down")
    public static let loginTimeout = Refusal("client_login_timeout")
    public static let loginTimeoutServerDown = Refusal("client_login_timeout (server down)")
    public static let badConfiguration = Refusal("bouncer config error")
    /// Trust, and auth_query knows no such user: there is nothing to hide from somebody whom every other name
    /// lets in.
    public static let noSuchUser = Refusal("no such user")
    public static let noServerPassword = Refusal("server login failed: no password")
    /// The server's own words on a replication connection stay in the log.
    public static let loginFailed = Refusal("login failed")
    public static let noMethod = Refusal("no authentication method is found")
    public static let rejectedByRule = Refusal("login rejected")
    public static let certificateRejected = Refusal("certificate authentication failed")
    public static let peerRejected = Refusal("unix socket login rejected")
    public static let rejectedByLDAP = Refusal("LDAP authentication failed")
    public static let rejectedByPAM = Refusal("PAM authentication failed")
    public static let noLDAPOptions = Refusal("auth_ldap_options is null")
    public static let options = Refusal(
        "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed")
    public static let maxClients = Refusal(
        "no more connections allowed (max_client_conn)",
        hint: "Raise max_client_conn, or close connections that are not in use.")
    public static let maxClientsOfAddress = Refusal(
        "no more connections allowed from this address (max_client_conn_per_address)", state: "53300",
        hint: "Raise max_client_conn_per_address, or close connections that are not in use.")
    public static let shutOutAddress = Refusal(
        "too many failed logins from this address (max_failed_logins_per_address)", state: "53300",
        hint: "Try again in a minute.")
    public static let pushedOut = Refusal(
        "too many connections are logging in (max_login_conns)", state: "53300", hint: "Try again.")
    public static let headerMissing = Refusal(
        "PROXY protocol header expected (proxy_protocol)",
        hint: "The proxy must send one (send-proxy-v2 in HAProxy), or leave proxy_protocol_trusted.")
    public static let maxDatabaseClients = Refusal(
        "client connections exceeded (max_db_client_connections)")
    public static let maxUserClients = Refusal("client connections exceeded (max_user_client_connections)")

    // while logged in
    public static let unknownMessage = Refusal("unknown pkt")
    public static let queryWaitTimeout = Refusal(
        "query_wait_timeout",
        hint: "All server connections of the pool are in use; see pool_size and SHOW POOLS.")
    public static let queuedQueryTimeout = Refusal("query_timeout")
    public static let queryTimeout = Refusal("query timeout")
    public static let idleTransactionTimeout = Refusal("idle transaction timeout")
    public static let transactionTimeout = Refusal("transaction timeout")
    public static let clientIdleTimeout = Refusal("client_idle_timeout")
    public static let statementPooling = Refusal("transaction blocks not allowed in statement pooling mode")
    public static let serverCrashed = Refusal("server conn crashed?")
    public static let serverClosed = Refusal("server connection closed")
    public static let serverOutOfStep = Refusal(
        "server conn crashed?", detail: "The server broke the protocol.")
    public static let parametersRejected = Refusal("invalid server parameter")
    public static let databaseRemoved = Refusal("database removed")
    public static let killed = Refusal("admin forced disconnect")
    public static let serverShutdown = Refusal("server shutting down")
    public static let suspendTimeout = Refusal("suspend_timeout")
    public static let configurationChanged = Refusal("database configuration changed")
    public static let brokenParse = Refusal("failed to parse packet")
    public static let messageTooLong = Refusal(
        "message too long to be held for prepared statements", state: "54000",
        hint: "Raise the limit or send it as an unnamed statement.")
    public static let tooManyStatements = Refusal(
        "too many prepared statements", state: "53000",
        hint: "Close statements that are no longer needed.")
    public static let canceled = Refusal(
        "canceling statement due to user request", state: "57014", severity: .error)
    public static let outOfRoom = Refusal("no more connections allowed", state: "53300")

    public static func badHeader(_ bytes: ByteView) -> Refusal {
        Refusal("bad packet header: '\(bytes.slice(0, 8).hexadecimal)'".bytes)
    }
    public static func unsupportedParameter(_ name: ByteView) -> Refusal {
        Refusal(ByteString("unsupported startup parameter: ").appending(name))
    }
    public static func replicationValue(_ value: ByteView) -> Refusal {
        Refusal(
            ByteString("invalid value for startup parameter replication: ").appending(value),
            hint: "It takes database, or a truth value such as true or false.")
    }
    public static func unsupportedOption(_ name: ByteView) -> Refusal {
        Refusal(ByteString("unsupported startup parameter in options: ").appending(name))
    }
    public static func noDatabase(_ name: ByteString) -> Refusal {
        Refusal(ByteString("no such database: ").appending(name))
    }
    public static func disabledDatabase(_ name: ByteString) -> Refusal {
        Refusal(ByteString("database \"").appending(name).appending("\" is disabled"))
    }
    public static func disabledAuthDatabase(_ name: ByteString) -> Refusal {
        Refusal(ByteString("authentication database \"").appending(name).appending("\" is disabled"))
    }
    public static func loginFailing(_ cause: ByteString) -> Refusal {
        Refusal(
            ByteString("server login has been failing, cached error: ").appending(cause)
                .appending(" (server_login_retry)"))
    }
    /// What an unpooled server says about a Parse whose name is taken.
    public static func duplicateStatement(_ name: ByteString) -> Refusal {
        Refusal(
            ByteString("prepared statement \"").appending(name).appending("\" already exists"),
            state: "42P05",
            severity: .error)
    }
}

extension ByteString {
    public func appending(_ other: ByteString) -> ByteString { ByteString(bytes + other.bytes) }
    public func appending(_ other: ByteView) -> ByteString { ByteString(bytes + Array(other.rawBuffer)) }
}

extension String {
    public var bytes: ByteString { ByteString(self) }
}

extension ByteView {
    /// Lower-case hexadecimal digits, for our own messages.
    public var hexadecimal: String {
        let digits: [Character] = Array("0123456789abcdef")
        var text = ""
        for byte in rawBuffer {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return text
    }
}
