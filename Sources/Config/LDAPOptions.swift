public import Primitives

/// How an LDAP server is asked whether a password is right: PostgreSQL's options of an `ldap` line in an HBA
/// file (manual: "LDAP Authentication"), which are those of `auth_ldap_options` as well.
public struct LDAPOptions: Equatable, Sendable {
    public struct Pair: Sendable {
        public let name: ByteString
        public let value: ByteString
    }

    /// Why options are no good; a sentence without the password.
    public struct Problem: Error, Equatable, Sendable {
        public let text: String
    }

    public enum Scope: Equatable, Sendable { case base, oneLevel, subtree }

    /// Which entry of the directory a user is.
    public enum Entry: Equatable, Sendable {
        /// Its name is put together of these and the user's.
        case named(prefix: ByteString, suffix: ByteString)
        case found(Search)
    }

    public struct Search: Equatable, Sendable {
        public internal(set) var base: ByteString = ""
        public internal(set) var scope = Scope.subtree
        /// `$username` stands for the user.
        public internal(set) var filter: ByteString = "(uid=$username)"
        /// Who searches; nobody in particular when both are empty.
        public internal(set) var bindName: ByteString = ""
        public internal(set) var bindPassword: ByteString = ""
    }

    /// In the order they are tried in, as URLs. None: those that the DNS names for the domain of the base.
    public internal(set) var servers: [ByteString] = []
    /// Found by DNS, they are spoken to with TLS.
    public internal(set) var isEncrypted = false
    public internal(set) var startsTLS = false
    public internal(set) var entry = Entry.found(Search())
    /// As it was written, less the password.
    public internal(set) var text: ByteString = ""

    init() {}

    // MARK: Names of users

    /// The name of this user's entry, where it is put together. Where the prefix names an attribute, a value
    /// is written as RFC 4514 has it, so that no name of a user leads to another entry; other prefixes
    /// (`DOMAIN\`) and suffixes alone (`@example.com`) make no distinguished name.
    public static func entryName(prefix: ByteString, user: ByteString, suffix: ByteString) -> ByteString {
        let isAttribute = prefix.bytes.contains(UInt8(ascii: "="))
        return ByteString(prefix.bytes + (isAttribute ? valueInName(user) : user).bytes + suffix.bytes)
    }

    /// As the value of an attribute in a distinguished name (RFC 4514, section 2.4).
    static func valueInName(_ text: ByteString) -> ByteString {
        var written: [UInt8] = []
        for (place, byte) in text.bytes.enumerated() {
            let isAtEdge = place == 0 || place == text.count - 1
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: ";"),
                UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\\"), UInt8(ascii: "="):
                written += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "#") where place == 0, UInt8(ascii: " ") where isAtEdge:
                written += [UInt8(ascii: "\\"), byte]
            case 0..<0x20, 0x7F: written += hexPair(byte)
            default: written.append(byte)
            }
        }
        return ByteString(written)
    }

    /// As a value in a search filter (RFC 4515, section 3).
    static func valueInFilter(_ text: ByteString) -> ByteString {
        var written: [UInt8] = []
        for byte in text.bytes {
            switch byte {
            case UInt8(ascii: "*"), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "\\"), 0..<0x20, 0x7F:
                written += hexPair(byte)
            default: written.append(byte)
            }
        }
        return ByteString(written)
    }

    private static func hexPair(_ byte: UInt8) -> [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        return [UInt8(ascii: "\\"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
}

extension LDAPOptions.Search {
    /// The filter that finds this user.
    public func filter(for user: ByteString) -> ByteString {
        var cursor = ByteCursor(filter)
        var written: [UInt8] = []
        let value = LDAPOptions.valueInFilter(user).bytes
        while !cursor.atEnd {
            if cursor.skip(bytes: Array("$username".utf8)) {
                written += value
            } else if let byte = cursor.next() {
                written.append(byte)
            }
        }
        return ByteString(written)
    }
}
