import Primitives

/// I4, seen from the wire: what the pooler writes to one link, cut into messages by nothing but their
/// headers. Bytes of its own may not stand inside a message that it passes on from somebody else.
struct Framing {
    /// Bytes that are still to come of the message begun, or 0.
    private var rest = 0
    /// A header that has not come whole yet.
    private var header = Bytes()
    private var isRelayed = false

    /// What is wrong with these bytes, or `nil`. `isOurs`: written by the pooler, not passed on.
    mutating func pass(_ view: ByteView, isOurs: Bool) -> String? {
        let isBetween = rest == 0 && header.isEmpty
        if isOurs, isRelayed, !isBetween { return "words of the pooler's own inside a message it passes on" }
        // A StartupMessage or a CancelRequest, which have no type; the one byte that answers an SSLRequest.
        if isOurs, isBetween, view[0] == 0 || view.count == 1 { return nil }
        var offset = 0
        while offset < view.count {
            if rest > 0 {
                let count = min(rest, view.count - offset)
                rest -= count
                offset += count
            } else if header.isEmpty, let length = view.uint32(at: offset + 1) {
                isRelayed = !isOurs
                offset += 5
                if let wrong = begin(length) { return wrong }
            } else {
                if header.isEmpty { isRelayed = !isOurs }
                header.append(view[offset] ?? 0)
                offset += 1
                guard header.count == 5 else { continue }
                let length = header.uint32(at: 1)
                header.removeAll(keepingCapacity: true)
                if let wrong = begin(length) { return wrong }
            }
        }
        return nil
    }

    private mutating func begin(_ length: UInt32) -> String? {
        guard length >= 4 else { return "a message of the length \(length)" }
        rest = Int(length) - 4
        return nil
    }
}
