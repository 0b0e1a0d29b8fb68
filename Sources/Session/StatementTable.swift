import Crypto
public import Primitives
import Wire

/// Every different prepared statement once, whoever prepared it: the same text and parameter types are one
/// statement with one name on the servers.
public struct StatementTable: ~Copyable {
    private var definitions: Interner
    private var serials: [UInt32] = []
    private var lastSerial: UInt32 = 0
    /// With several workers a server goes from one table to another, so a name must mean the same everywhere:
    /// it is made from the definition. Nobody can find two with one name: half of SHA-256 stands in it.
    private let isShared: Bool
    private var digests: [ByteString] = []
    private static var digestBytes: Int { 20 }
    /// What is prepared in place of definitions that have gone stale.
    private var successors: [ByteString: ByteString] = [:]
    /// More are not remembered: then a stale statement is met once more.
    private static var successorLimit: Int { 1024 }

    public init(seed: UInt64, isShared: Bool = false) {
        definitions = Interner(seed: seed)
        self.isShared = isShared
    }

    public var count: Int { definitions.count }

    /// The statement with this definition (Parse without its name), held once more. `guess`: the one it may
    /// well be, which spares looking it up.
    public mutating func hold(_ definition: ByteView, guess: UInt32 = ExpectedReply.none) -> UInt32 {
        if guess < UnnamedStatement.tooLong, definitions.holds(guess, definition) {
            definitions.hold(again: guess)
            return guess
        }
        let before = definitions.count
        let number = definitions.hold(definition)
        while serials.count <= Int(number) { serials.append(0) }
        if definitions.count > before {
            lastSerial &+= 1
            serials[Int(number)] = lastSerial
            if isShared { name(definition, at: Int(number)) }
        }
        return number
    }

    /// The statement that a Parse of this definition means now, held once more.
    public mutating func holdCurrent(_ definition: ByteView) -> UInt32 {
        if successors.isEmpty { return hold(definition) }
        var current = ByteString(definition)
        while let next = successors[current] { current = next }
        return current.withView { hold($0) }
    }

    /// A server says that what this statement returns has changed since it was prepared. Those who have it
    /// go on hearing that, as from a server of their own; a new Parse of the same text must not meet it. It
    /// gets the text with one more space at its end, so that it is another statement with another name.
    public mutating func goStale(_ statement: UInt32) {
        guard statement < UnnamedStatement.tooLong else { return }
        if successors.count >= Self.successorLimit { successors.removeAll() }
        let definition = definitions.bytes(statement)
        guard let end = definition.bytes.firstIndex(of: 0) else { return }
        var bytes = Array(definition.bytes)
        bytes.insert(0x20, at: end)
        successors[definition] = ByteString(bytes)
    }

    /// The number in its name on the servers.
    public func serial(_ statement: UInt32) -> UInt32 { serials[Int(statement)] }

    /// A statement that a server has under this number already; held once more.
    public mutating func hold(_ definition: ByteView, serial: UInt32) -> UInt32 {
        let before = definitions.count
        let number = hold(definition)
        if definitions.count > before { serials[Int(number)] = serial }
        lastSerial = max(lastSerial, serial)
        return number
    }

    private mutating func name(_ definition: ByteView, at place: Int) {
        while digests.count <= place { digests.append("") }
        let digits = Array("0123456789abcdef".utf8)
        digests[place] = SHA256.hash(definition).withView { digest in
            let bytes = digest.slice(0, Self.digestBytes).rawBuffer
            return ByteString(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
        }
    }

    public mutating func hold(again statement: UInt32) { definitions.hold(again: statement) }

    public mutating func letGo(_ statement: UInt32) {
        if statement < UnnamedStatement.tooLong { definitions.letGo(statement) }
    }

    public func definition(_ statement: UInt32) -> ByteString { definitions.bytes(statement) }

    /// Its name on every server: PgBouncer's form, because people look for it in `pg_prepared_statements`.
    public func writeName(_ statement: UInt32, into buffer: inout ByteBuffer) {
        buffer.append("PGBOUNCER_")
        if isShared {
            buffer.append(digests[Int(statement)])
        } else {
            buffer.append(decimal: serials[Int(statement)])
        }
    }

    public func name(_ statement: UInt32) -> ByteString {
        if isShared { return ByteString("PGBOUNCER_").appending(digests[Int(statement)]) }
        return ByteString("PGBOUNCER_\(serials[Int(statement)])")
    }

    /// A Parse that prepares it: under its name, or as the unnamed statement.
    public func writeParse(_ statement: UInt32, named: Bool, into buffer: inout ByteBuffer) {
        let mark = buffer.begin(message: ClientMessageKind.parse.rawValue)
        if named { writeName(statement, into: &buffer) }
        buffer.append(0)
        buffer.append(definitions.bytes(statement))
        buffer.end(message: mark)
    }

    /// A Close of it.
    public func writeClose(_ statement: UInt32, into buffer: inout ByteBuffer) {
        let mark = buffer.begin(message: ClientMessageKind.close.rawValue)
        buffer.append(0x53)
        writeName(statement, into: &buffer)
        buffer.append(0)
        buffer.end(message: mark)
    }
}
