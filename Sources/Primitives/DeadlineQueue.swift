/// Deadlines of many owners, soonest first (a binary heap in one block of memory). An owner whose plans
/// change leaves its old entry behind and adds another; whoever takes an entry out asks the owner whether it
/// still means it.
public struct DeadlineQueue<Owner: BitwiseCopyable>: ~Copyable {
    private struct Entry: BitwiseCopyable {
        var at: Instant
        var order: UInt64
        var owner: Owner
    }

    private var heap: UnsafeMutablePointer<Entry>
    private var capacity = 64
    private var order: UInt64 = 0
    public private(set) var count = 0

    public init() { heap = .allocate(capacity: capacity) }

    deinit { heap.deallocate() }

    public var next: Instant? { count == 0 ? nil : heap[0].at }

    public mutating func add(_ owner: Owner, at instant: Instant) {
        if count == capacity { grow() }
        order &+= 1
        let new = Entry(at: instant, order: order, owner: owner)
        var place = count
        count &+= 1
        while place > 0 {
            let parent = (place &- 1) / 2
            guard Self.earlier(new, heap[parent]) else { break }
            (heap + place).initialize(to: heap[parent])
            place = parent
        }
        (heap + place).initialize(to: new)
    }

    /// The first owner whose deadline has come, or `nil` when none has.
    public mutating func takeDue(_ now: Instant) -> (owner: Owner, at: Instant)? {
        guard count > 0, heap[0].at <= now else { return nil }
        let first = heap[0]
        count &-= 1
        if count > 0 { sink(heap[count]) }
        return (first.owner, first.at)
    }

    /// Puts an entry into the place at the top, or further down where it belongs.
    private mutating func sink(_ entry: Entry) {
        var place = 0
        while true {
            var child = 2 * place + 1
            guard child < count else { break }
            if child + 1 < count, Self.earlier(heap[child + 1], heap[child]) { child += 1 }
            guard Self.earlier(heap[child], entry) else { break }
            heap[place] = heap[child]
            place = child
        }
        heap[place] = entry
    }

    private static func earlier(_ a: Entry, _ b: Entry) -> Bool {
        a.at == b.at ? a.order < b.order : a.at < b.at
    }

    @inline(never)
    private mutating func grow() {
        let larger = UnsafeMutablePointer<Entry>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: heap, count: count)
        heap.deallocate()
        heap = larger
        capacity *= 2
    }
}
