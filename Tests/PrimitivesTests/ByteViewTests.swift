import Primitives
import Testing

@Suite struct ByteViewTests {
    private let bytes: ByteString = ByteString([1, 2, 3, 4, 0, 5])

    /// Every read at every offset, far outside ones included, answers or is `nil`; none traps.
    @Test func readsOutsideTheWindowAreNil() {
        bytes.withView { view in
            for offset in [Int.min, -5, -1, 6, 7, Int.max - 4, Int.max] {
                #expect(view[offset] == nil)
                #expect(view.uint16(at: offset) == nil)
                #expect(view.uint32(at: offset) == nil)
                #expect(view.slice(offset).isEmpty)
                #expect(view.slice(offset, Int.max).isEmpty)
                let string = view.cString(at: offset)
                #expect(string == nil)
            }
            #expect(view.uint16(at: 5) == nil)
            #expect(view.uint32(at: 3) == nil)
            #expect(view.slice(2, -1).isEmpty)
            #expect(view.slice(2, Int.max).count == 4)
        }
    }

    @Test func numbersAreBigEndian() {
        bytes.withView { view in
            #expect(view[0] == 1)
            #expect(view.uint16(at: 1) == 0x0203)
            #expect(view.uint32(at: 0) == 0x0102_0304)
            #expect(view.uint32(at: 2) == 0x0304_0005)
        }
    }

    @Test func stringsEndAtTheirTerminator() {
        bytes.withView { view in
            let first = view.cString(at: 0)
            #expect(first?.bytes.count == 4)
            #expect(first?.next == 5)
            let empty = view.cString(at: 4)
            #expect(empty?.bytes.count == 0)
            let open = view.cString(at: 5)
            #expect(open == nil)
        }
    }

    @Test func equalityLooksAtEveryByte() {
        let long: ByteString = "a string of twenty-one"
        for place in 0..<long.count {
            var other = long.bytes
            other[place] ^= 0x20
            let isEqual = long.withView { a in ByteString(other).withView { a.equals($0) } }
            #expect(!isEqual)
        }
        #expect(long.withView { $0.equals("a string of twenty-one") })
        #expect(!long.withView { $0.equals("a string of twenty-on") })
        #expect(long.withView { $0.hasPrefix("a string") })
        #expect(!ByteString("a").withView { $0.hasPrefix("a string") })
    }

    @Test(arguments: [
        ("DateStyle", "datestyle", true), ("[", "{", false), ("@", "`", false),
        ("\u{C4}", "\u{E4}", false),
        ("a", "ab", false), ("K", "\u{212A}", false),
    ])
    func onlyASCIILettersCompareWithoutCase(_ a: String, _ b: String, _ isEqual: Bool) {
        #expect(ByteString(a).equalsIgnoringASCIICase(ByteString(b)) == isEqual)
    }

    @Test func anEmptyBufferIsAnEmptyView() {
        #expect(ByteView(UnsafeRawBufferPointer(start: nil, count: 0)).isEmpty)
        #expect(ByteString("").withView { $0[0] } == nil)
    }
}
