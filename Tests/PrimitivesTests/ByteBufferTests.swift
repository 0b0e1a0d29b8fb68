import Primitives
import Testing

@Suite struct ByteBufferTests {
    @Test func keepsWhatIsAppendedWhileItGrows() {
        var buffer = ByteBuffer(capacity: 0)
        var model: [UInt8] = []
        for round in 0..<300 {
            buffer.append(UInt8(truncatingIfNeeded: round))
            buffer.append(uint16: UInt16(round))
            buffer.append(uint32: UInt32(round) << 8)
            buffer.append(decimal: round)
            buffer.append("x" as StaticString)
            buffer.append("yz" as String)
            buffer.append(ByteString([0, 255]))
            model.append(UInt8(truncatingIfNeeded: round))
            model += [UInt8(round >> 8), UInt8(round & 255)]
            model += [UInt8(round >> 16), UInt8(round >> 8 & 255), UInt8(round & 255), 0]
            model += Array("\(round)xyz".utf8) + [0, 255]
        }
        let bytes = Array(buffer.view.rawBuffer)
        #expect(bytes == model)
    }

    @Test func lengthsAreFilledInAfterwards() {
        var buffer = ByteBuffer()
        buffer.append(uint32: 0)
        buffer.append("abc" as StaticString)
        buffer.set(uint32: 0x0102_0304, at: 0)
        buffer.truncate(to: 5)
        let bytes = Array(buffer.view.rawBuffer)
        #expect(bytes == [1, 2, 3, 4, 0x61])
        let part = Array(buffer.view(ByteRange(offset: 1, count: 2)).rawBuffer)
        #expect(part == [2, 3])
        let beyond = buffer.view(ByteRange(offset: 9, count: 2)).isEmpty
        #expect(beyond)
    }

    @Test func emptyAgainItCanBeUsedAgain() {
        var buffer = ByteBuffer()
        buffer.append(String(repeating: "x", count: 5000))
        buffer.removeAll(keeping: 100)
        let isEmpty = buffer.isEmpty
        #expect(isEmpty)
        buffer.append(String(repeating: "y", count: 500))
        let count = buffer.count
        #expect(count == 500)
    }
}
