public import Primitives

/// A setting that is one of a few words.
protocol Choice: CaseIterable, Equatable, Sendable {
    /// The word, as configuration files and `SHOW` write it.
    var name: ByteString { get }
}

/// When a server goes back to its pool.
public enum PoolMode: UInt8, Choice {
    case session
    case transaction
    case statement

    public var name: ByteString {
        switch self {
        case .session: "session"
        case .transaction: "transaction"
        case .statement: "statement"
        }
    }
}

/// How clients prove who they are.
public enum AuthType: UInt8, Choice {
    case any, trust, plain, md5, cert, hba, ldap, pam
    case scramSHA256

    public var name: ByteString {
        switch self {
        case .any: "any"
        case .trust: "trust"
        case .plain: "plain"
        case .md5: "md5"
        case .cert: "cert"
        case .hba: "hba"
        case .ldap: "ldap"
        case .pam: "pam"
        case .scramSHA256: "scram-sha-256"
        }
    }

    /// Whether logins look at auth_file.
    public var readsAuthFile: Bool {
        switch self {
        case .any, .pam: false
        case .trust, .plain, .md5, .cert, .hba, .ldap, .scramSHA256: true
        }
    }
}

/// Whether a connection may or must use TLS, and what is checked.
public enum SSLMode: UInt8, Choice {
    case disable, allow, prefer, require, verifyCA, verifyFull

    public var name: ByteString {
        switch self {
        case .disable: "disable"
        case .allow: "allow"
        case .prefer: "prefer"
        case .require: "require"
        case .verifyCA: "verify-ca"
        case .verifyFull: "verify-full"
        }
    }

    /// Whether a connection without TLS is refused.
    public var demandsTLS: Bool {
        switch self {
        case .disable, .allow, .prefer: false
        case .require, .verifyCA, .verifyFull: true
        }
    }
}

/// How TLS with a server begins.
public enum TLSNegotiation: UInt8, Choice {
    /// PostgreSQL's SSLRequest asks for it first.
    case postgres
    /// At once, as other protocols do; PostgreSQL understands it since version 17.
    case direct

    public var name: ByteString {
        switch self {
        case .postgres: "postgres"
        case .direct: "direct"
        }
    }
}

/// Diffie-Hellman key exchange for clients. PgBouncer's manual lists `legacy`, its code refuses it; here it
/// is `auto`.
public enum DHEParams: UInt8, Choice {
    case auto, none, legacy

    public var name: ByteString {
        switch self {
        case .auto: "auto"
        case .none: "none"
        case .legacy: "legacy"
        }
    }
}

/// Where syslog files our messages.
public enum SyslogFacility: UInt8, Choice {
    case auth, authpriv, daemon, user
    case local0, local1, local2, local3, local4, local5, local6, local7

    public var name: ByteString { ByteString("\(self)") }
}

/// How log lines are written.
public enum LogFormat: UInt8, Choice {
    case text, json

    public var name: ByteString {
        switch self {
        case .text: "text"
        case .json: "json"
        }
    }
}

/// Whether bytes move through an io_uring of the kernel's: where it has one, always, or never.
public enum UseOfIOUring: UInt8, Choice {
    case auto, yes, no

    public var name: ByteString {
        switch self {
        case .auto: "auto"
        case .yes: "yes"
        case .no: "no"
        }
    }
}

/// Which member of a host list a new server connection uses.
public enum LoadBalanceHosts: UInt8, Choice {
    /// The next one each time.
    case roundRobin
    /// The same one until it fails.
    case disable

    public var name: ByteString {
        switch self {
        case .roundRobin: "round-robin"
        case .disable: "disable"
        }
    }
}
