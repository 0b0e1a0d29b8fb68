/// A list in one block of memory that keeps its room when emptied, so that a warm one allocates nothing.
public struct Stack<Element: BitwiseCopyable>: ~Copyable {
    @usableFromInline var base: UnsafeMutablePointer<Element>
    private var capacity: Int
    @usableFromInline var length = 0
    @inlinable public var count: Int { length }

    public init(capacity: Int = 16) {
        self.capacity = max(1, capacity)
        base = .allocate(capacity: self.capacity)
    }

    deinit { base.deallocate() }

    @inlinable
    public subscript(index: Int) -> Element {
        @inline(__always)
        unsafeAddress {
            precondition(index >= 0 && index < length, "a stack was read past its end")
            return UnsafePointer(base + index)
        }
        @inline(__always)
        unsafeMutableAddress {
            precondition(index >= 0 && index < length, "a stack was written past its end")
            return base + index
        }
    }

    public mutating func append(_ element: Element) {
        if length == capacity { grow() }
        (base + length).initialize(to: element)
        length &+= 1
    }

    public mutating func removeAll() { length = 0 }

    @inline(never)
    private mutating func grow() {
        let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: base, count: count)
        base.deallocate()
        base = larger
        capacity *= 2
    }
}
