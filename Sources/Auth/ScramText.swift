import Crypto
import Primitives

/// Bounds of what a SCRAM exchange may carry.
public enum ScramLimits {
    /// Random bytes in our half of a nonce, before Base64.
    static let nonceBytes = 18
    /// Salt we make, in bytes; PostgreSQL's length.
    static let saltBytes = 16
    /// Longest salt a server may send, in bytes.
    static let serverSaltBytes = 1024
    /// Longest SASL message of a client, in bytes of body.
    public static let clientMessageBytes = 1024
    /// Longest authentication message of a server, in bytes of body.
    public static let serverMessageBytes = 8192
    /// PBKDF2 iterations we are ready to compute ourselves: about a quarter of a second.
    public static let iterations = 1_000_000
}

/// Walks "a=value,b=value" (RFC 5802, section 7), left to right, never past the end.
struct ScramAttributes {
    private let text: ByteView
    /// Where the next attribute starts.
    private(set) var offset = 0
    /// The text ended in a comma: there is an attribute without a name.
    private var isBroken = false

    init(_ text: ByteView) { self.text = text }

    var isAtEnd: Bool { !isBroken && offset >= text.count }

    /// `nil` at the end, and where no attribute stands.
    mutating func next() -> (name: UInt8, value: ByteView)? {
        guard let name = text[offset], name.isASCIILetter, text[offset &+ 1] == 0x3D else { return nil }
        let end = text.firstIndex(of: 0x2C, from: offset &+ 2) ?? text.count
        let value = text.slice(offset &+ 2, end &- offset &- 2)
        isBroken = end == text.count &- 1
        offset = min(end &+ 1, text.count)
        return (name, value)
    }

    /// The value of the next attribute, which must have this name.
    mutating func next(named name: UInt8) -> ByteView? {
        guard let attribute = next(), attribute.name == name else { return nil }
        return attribute.value
    }
}

extension ByteView {
    /// Printable ASCII without comma, at least one byte: what a nonce is made of.
    var isScramNonce: Bool {
        !isEmpty && rawBuffer.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x2C }
    }

    /// A decimal number in 1...limit, digits only.
    func scramIterations(limit: Int) -> Int? {
        guard count > 0, count <= 10 else { return nil }
        var number = 0
        for digit in rawBuffer {
            guard (0x30...0x39).contains(digit) else { return nil }
            number = number &* 10 &+ Int(digit &- 0x30)
        }
        return (1...limit).contains(number) ? number : nil
    }
}

extension Digest256 {
    init?(base64 text: ByteView) {
        // 32 bytes are 44 letters; anything else need not be decoded.
        guard text.count == 44, let bytes = Base64.decode(text) else { return nil }
        guard let digest = ByteString(bytes).withView({ Digest256($0) }) else { return nil }
        self = digest
    }
}

extension UInt8 {
    fileprivate var isASCIILetter: Bool { (0x61...0x7A).contains(asciiLowercased) }
}
