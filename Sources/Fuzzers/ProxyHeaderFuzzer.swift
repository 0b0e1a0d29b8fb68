import Primitives
import Wire

/// F16: what a proxy says before its client speaks.
enum ProxyHeaders {
    static let signature: Bytes = [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    static let words: [ByteString] = [
        "PROXY ", "TCP4 ", "TCP6 ", "UNKNOWN", "\r\n", " ", "203.0.113.7 ", "2001:db8::9 ", "::1 ",
        "::ffff:1.2.3.4 ",
        "65535", "65536", "0", "00", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY UNKNOWN\r\n",
        ByteString(signature), ByteString(signature + [0x21, 0x11, 0, 12]),
        ByteString(signature + [0x21, 0x21, 0, 36]),
        ByteString(signature + [0x20, 0, 0, 0]), ByteString(signature + [0x21, 0x31, 0, 216]),
        ByteString([0x21]),
        ByteString([0x0F, 0xF0]), ByteString([0x10, 0x01]),
    ]

    static func run(_ bytes: Bytes) -> Verdict {
        let whole = read(bytes)
        if whole == .incomplete, bytes.count >= ProxyHeader.limitBytes {
            return .finding("wants more for ever")
        }
        // The verdict is that of the first byte that brings one, and nothing behind it changes it.
        var first: ProxyHeader?
        for count in 0...min(bytes.count, ProxyHeader.limitBytes + 1) {
            let verdict = read(Bytes(bytes.prefix(count)))
            if let first, verdict != first { return .finding("\(first) becomes \(verdict) at \(count)") }
            guard first == nil, verdict != .incomplete else { continue }
            first = verdict
            if verdict != whole { return .finding("\(verdict) at \(count), \(whole) in the end") }
            if let length = length(of: verdict), length != count {
                return .finding("a header of \(length) bytes is known after \(count)")
            }
        }
        return again(whole)
    }

    /// What has been understood is understood again when it is written down, in both versions.
    private static func again(_ header: ProxyHeader) -> Verdict {
        guard case .client(let address, _) = header else { return .fine }
        let isFour = address.family == .ipv4
        let words = Array(UInt64(address.port).bigEndianBytes.suffix(2))
        var parts = address.high.bigEndianBytes + address.low.bigEndianBytes
        if isFour { parts = Bytes(parts.prefix(4)) }
        let rest = parts.count * 2 + 4
        let binary =
            signature + [0x21, isFour ? 0x11 : 0x21, 0, UInt8(rest)] + parts + parts + words + words
        let kind = isFour ? "TCP4" : "TCP6"
        let text = Bytes(
            "PROXY \(kind) \(host(parts)) \(host(parts)) \(address.port) \(address.port)\r\n".utf8)
        for bytes in [binary, text] where read(bytes) != .client(address, length: bytes.count) {
            return .finding("\(bytes.shown) is \(read(bytes))")
        }
        return .fine
    }

    private static func host(_ parts: Bytes) -> String {
        if parts.count == 4 { return parts.map(String.init).joined(separator: ".") }
        return stride(from: 0, to: 16, by: 2).map {
            String(UInt16(parts[$0]) << 8 | UInt16(parts[$0 + 1]), radix: 16)
        }.joined(separator: ":")
    }

    private static func length(of header: ProxyHeader) -> Int? {
        switch header {
        case .own(let length), .client(_, let length): length
        case .incomplete, .absent, .malformed: nil
        }
    }

    private static func read(_ bytes: Bytes) -> ProxyHeader {
        ByteString(bytes).withView { ProxyHeader.read($0) }
    }
}

extension UInt64 {
    fileprivate var bigEndianBytes: Bytes {
        (0..<8).map { UInt8(truncatingIfNeeded: self >> (56 - UInt64($0) * 8)) }
    }
}
