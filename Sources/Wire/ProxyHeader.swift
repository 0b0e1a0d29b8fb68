public import Primitives

/// What a proxy says before the first byte of the client it speaks for: the PROXY protocol, version 1 (one
/// line of text) and version 2 (binary), as HAProxy's `proxy-protocol.txt` has them.
public enum ProxyHeader: Equatable, Sendable {
    /// More bytes are needed to tell.
    case incomplete
    /// Something else.
    case absent
    /// It begins as one and is none; why, for the log.
    case malformed(ByteString)
    /// The proxy speaks for itself (a health check), or does not know for whom. Bytes of the header.
    case own(length: Int)
    /// Where the client is, and bytes of the header.
    case client(SocketAddress, length: Int)
}

extension ProxyHeader {
    /// Longest line of version 1, line end included, in bytes (2.1 of the specification).
    static let lineLimitBytes = 107
    /// Longest header of version 2 that is read, in bytes; proxies add certificates' names and keys of
    /// clouds.
    public static let limitBytes = 4096
    private static let lineSignature: StaticString = "PROXY "
    private static let signature: StaticString = "\r\n\r\n\0\r\nQUIT\n"
    private static let fixedBytes = 16

    /// The header at the front of `bytes`, whatever follows it.
    public static func read(_ bytes: ByteView) -> ProxyHeader {
        if let verdict = verdict(bytes, begins: lineSignature) { return verdict ?? readLine(bytes) }
        if let verdict = verdict(bytes, begins: signature) { return verdict ?? readBinary(bytes) }
        return .absent
    }

    /// `nil`: it begins otherwise; `.some(nil)`: the signature is there.
    private static func verdict(_ bytes: ByteView, begins signature: StaticString) -> ProxyHeader?? {
        let count = signature.utf8CodeUnitCount
        let whole = ByteString(signature)
        let isFront = whole.withView { bytes.slice(0, count).equals($0.slice(0, bytes.count)) }
        guard isFront else { return nil }
        return .some(bytes.count < count ? .incomplete : nil)
    }

    // MARK: Version 1

    /// `PROXY TCP4 source destination port port`, or `PROXY UNKNOWN` and anything.
    private static func readLine(_ bytes: ByteView) -> ProxyHeader {
        let front = bytes.slice(0, lineLimitBytes)
        guard let end = front.firstIndex(of: 0x0A) else {
            return bytes.count < lineLimitBytes ? .incomplete : .malformed("the line has no end")
        }
        guard end > 0, front[end &- 1] == 0x0D else { return .malformed("the line does not end in CR LF") }
        let length = end &+ 1
        let line = Array(front.slice(0, end &- 1).rawBuffer.dropFirst(lineSignature.utf8CodeUnitCount))
        let words = line.split(separator: 0x20, omittingEmptySubsequences: false).map {
            ByteString(Array($0))
        }
        guard let kind = words.first else { return .malformed("no protocol") }
        if kind == "UNKNOWN" { return .own(length: length) }
        let family: SocketAddress.Family
        switch kind {
        case "TCP4": family = .ipv4
        case "TCP6": family = .ipv6
        default: return .malformed("neither TCP4, TCP6 nor UNKNOWN")
        }
        guard words.count == 5 else { return .malformed("not two addresses and two ports") }
        guard var source = SocketAddress(parsing: words[1]), source.family == family,
            let destination = SocketAddress(parsing: words[2]), destination.family == family
        else { return .malformed("an address that is none") }
        guard let number = port(words[3]), port(words[4]) != nil else {
            return .malformed("a port that is none")
        }
        source.port = number
        return .client(source, length: length)
    }

    private static func port(_ text: ByteString) -> UInt16? {
        let digits = text.bytes
        guard (1...5).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            digits.count == 1 || digits.first != 0x30
        else { return nil }
        return UInt16(exactly: digits.reduce(0) { $0 * 10 + Int($1 &- 0x30) })
    }

    // MARK: Version 2

    /// Signature, version and command, family and transport, length of what follows; addresses; whatever
    /// else.
    private static func readBinary(_ bytes: ByteView) -> ProxyHeader {
        guard let version = bytes[12], let kind = bytes[13] else { return .incomplete }
        guard version >> 4 == 2 else { return .malformed("a version other than 2") }
        guard version & 15 <= 1 else { return .malformed("neither LOCAL nor PROXY") }
        guard let rest = bytes.uint16(at: 14) else { return .incomplete }
        let length = fixedBytes &+ Int(rest)
        guard length <= limitBytes else { return .malformed("too long") }
        let isLocal = version & 15 == 0
        let wanted: Int
        switch (kind >> 4, kind & 15) {
        case (0, 0): wanted = 0
        case (1, 1): wanted = 12
        case (2, 1): wanted = 36
        case (3, 1): wanted = 216
        case _ where isLocal: wanted = 0
        default: return .malformed("neither TCP nor a unix socket")
        }
        guard isLocal || rest >= wanted else { return .malformed("too short for its addresses") }
        guard bytes.count >= length else { return .incomplete }
        if !isLocal, wanted == 12, let address = bytes.uint32(at: 16), let port = bytes.uint16(at: 24) {
            return .client(
                SocketAddress(family: .ipv4, high: UInt64(address) << 32, port: port), length: length)
        }
        if !isLocal, wanted == 36, let high = bytes.uint64(at: 16), let low = bytes.uint64(at: 24),
            let port = bytes.uint16(at: 48)
        {
            return .client(SocketAddress(family: .ipv6, high: high, low: low, port: port), length: length)
        }
        return .own(length: length)
    }
}

extension ByteView {
    fileprivate func uint64(at offset: Int) -> UInt64? {
        guard let high = uint32(at: offset), let low = uint32(at: offset &+ 4) else { return nil }
        return UInt64(high) << 32 | UInt64(low)
    }
}
