/// Deadlines of many owners, soonest first (a binary heap). An owner whose plans change leaves its old entry
/// behind and adds another; whoever takes an entry out asks the owner whether it still means it.
public struct DeadlineQueue<Owner: BitwiseCopyable>: ~Copyable {
    private struct Entry {
        var at: Instant
        var order: UInt64
        var owner: Owner
    }

    private var heap: [Entry] = []
    private var order: UInt64 = 0

    public init() {}

    public var next: Instant? { heap.first?.at }
    public var count: Int { heap.count }

    public mutating func add(_ owner: Owner, at instant: Instant) {
        order &+= 1
        heap.append(Entry(at: instant, order: order, owner: owner))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard Self.earlier(heap[child], heap[parent]) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// The first owner whose deadline has come, or `nil` when none has.
    public mutating func takeDue(_ now: Instant) -> (owner: Owner, at: Instant)? {
        guard let first = heap.first, first.at <= now else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        return (first.owner, first.at)
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var smallest = parent
            for child in (2 * parent + 1)...(2 * parent + 2) where child < heap.count {
                if Self.earlier(heap[child], heap[smallest]) { smallest = child }
            }
            guard smallest != parent else { return }
            heap.swapAt(parent, smallest)
            parent = smallest
        }
    }

    private static func earlier(_ a: Entry, _ b: Entry) -> Bool {
        a.at == b.at ? a.order < b.order : a.at < b.at
    }
}
