/// A list in one block of memory that keeps its room when emptied, so that a warm one allocates nothing.
public struct Stack<Element>: ~Copyable {
    private var base: UnsafeMutablePointer<Element>
    private var capacity: Int
    public private(set) var count = 0

    public init(capacity: Int = 16) {
        self.capacity = max(1, capacity)
        base = .allocate(capacity: self.capacity)
    }

    deinit {
        base.deinitialize(count: count)
        base.deallocate()
    }

    public subscript(index: Int) -> Element {
        get {
            precondition(index >= 0 && index < count, "a stack was read past its end")
            return base[index]
        }
        set {
            precondition(index >= 0 && index < count, "a stack was written past its end")
            base[index] = newValue
        }
    }

    public var last: Element? { count == 0 ? nil : base[count &- 1] }

    public mutating func append(_ element: Element) {
        if count == capacity { grow() }
        (base + count).initialize(to: element)
        count &+= 1
    }

    public mutating func removeAll() {
        base.deinitialize(count: count)
        count = 0
    }

    @inline(never)
    private mutating func grow() {
        let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: base, count: count)
        base.deallocate()
        base = larger
        capacity *= 2
    }
}
