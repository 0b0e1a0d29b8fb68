/// Byte strings kept once, however many hold them: equal bytes have equal numbers, and go when the last
/// holder lets go.
public struct Interner: ~Copyable {
    private struct Entry {
        var bytes: ByteString?
        var holders: UInt32
    }

    private var entries: [Entry] = []
    private var free: [UInt32] = []
    private var numbers: ByteMap<UInt32>

    public init(seed: UInt64) { numbers = ByteMap(seed: seed) }

    /// Different strings held now.
    public var count: Int { numbers.count }

    /// The number of these bytes, held once more.
    public mutating func hold(_ bytes: ByteView) -> UInt32 {
        if let number = numbers.value(bytes) {
            entries[Int(number)].holders += 1
            return number
        }
        let number: UInt32
        let entry = Entry(bytes: ByteString(bytes), holders: 1)
        if let reused = free.popLast() {
            number = reused
            entries[Int(number)] = entry
        } else {
            number = UInt32(entries.count)
            entries.append(entry)
        }
        numbers.set(bytes, to: number)
        return number
    }

    /// Whether this number, which somebody holds, stands for these bytes.
    public func holds(_ number: UInt32, _ bytes: ByteView) -> Bool {
        entries[Int(number)].bytes?.withView { $0.equals(bytes) } ?? false
    }

    /// Holds a number that is held already once more.
    public mutating func hold(again number: UInt32) {
        precondition(entries[Int(number)].holders > 0, "nobody holds this")
        entries[Int(number)].holders += 1
    }

    /// `true` when that was the last holder; the number may mean other bytes from here on.
    @discardableResult
    public mutating func letGo(_ number: UInt32) -> Bool {
        let index = Int(number)
        precondition(entries[index].holders > 0, "nobody holds this")
        entries[index].holders -= 1
        guard entries[index].holders == 0, let bytes = entries[index].bytes else { return false }
        bytes.withView { _ = numbers.remove($0) }
        entries[index].bytes = nil
        free.append(number)
        return true
    }

    /// The number of these bytes, without holding it.
    public func number(of bytes: ByteView) -> UInt32? { numbers.value(bytes) }

    public func bytes(_ number: UInt32) -> ByteString {
        guard let bytes = entries[Int(number)].bytes else { preconditionFailure("nobody holds this") }
        return bytes
    }
}
