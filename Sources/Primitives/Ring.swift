/// A queue in one block of memory that doubles when full; a warm one allocates nothing.
public struct Ring<Element: BitwiseCopyable>: ~Copyable {
    @usableFromInline var base: UnsafeMutablePointer<Element>
    @usableFromInline var capacity: Int
    @usableFromInline var head = 0
    public private(set) var count = 0

    public init(capacity: Int = 8) {
        var rounded = 1
        while rounded < capacity { rounded *= 2 }
        self.capacity = rounded
        base = .allocate(capacity: rounded)
    }

    deinit { base.deallocate() }

    public var isEmpty: Bool { count == 0 }
    public var first: Element? { count == 0 ? nil : base[head] }
    public var last: Element? { count == 0 ? nil : base[(head &+ count &- 1) & (capacity &- 1)] }

    /// The element `index` places behind the first.
    public subscript(index: Int) -> Element {
        get {
            precondition(index >= 0 && index < count, "a ring was read past its end")
            return base[(head &+ index) & (capacity &- 1)]
        }
        set {
            precondition(index >= 0 && index < count, "a ring was written past its end")
            base[(head &+ index) & (capacity &- 1)] = newValue
        }
    }

    public mutating func append(_ element: Element) {
        if count == capacity { grow() }
        (base + ((head &+ count) & (capacity &- 1))).initialize(to: element)
        count &+= 1
    }

    @discardableResult
    public mutating func removeFirst() -> Element {
        precondition(count > 0, "an empty ring was asked for an element")
        let element = base[head]
        head = (head &+ 1) & (capacity &- 1)
        count &-= 1
        return element
    }

    /// Removes the element `index` places behind the first; the order of the others stays.
    public mutating func remove(at index: Int) {
        var place = index
        while place + 1 < count {
            self[place] = self[place + 1]
            place += 1
        }
        precondition(index >= 0 && index < count, "a ring was told to forget what it does not hold")
        count &-= 1
    }

    public mutating func removeAll() {
        head = 0
        count = 0
    }

    @inline(never)
    private mutating func grow() {
        let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
        for index in 0..<count { (larger + index).initialize(to: self[index]) }
        base.deallocate()
        base = larger
        capacity *= 2
        head = 0
    }
}
