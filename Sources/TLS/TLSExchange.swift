import COpenSSL
package import Primitives

/// Memory that all streams of one worker take turns in: the encrypted bytes that one call may read, those it
/// writes, and room for what has been decrypted. A stream at rest holds none of it.
package struct TLSExchange: ~Copyable {
    /// What the library's callbacks see.
    struct Flow {
        var input: UnsafeRawPointer?
        var inputCount = 0
        var output: UnsafeMutableRawPointer
        var outputCount = 0
        var outputCapacity: Int
    }

    /// Largest record of TLS, in bytes.
    static var recordBytes: Int { 16 * 1024 }
    /// Room for decrypted bytes: more than one read, what was left of a record before it, and what a link
    /// keeps in front of them can come to.
    package static var roomBytes: Int { 64 * 1024 }
    private static var outputKeptBytes: Int { 256 * 1024 }
    private static var outputBytes: Int { 32 * 1024 }

    let flow: UnsafeMutablePointer<Flow>
    package let room: UnsafeMutableRawPointer
    /// Where small pieces become one record.
    let record: UnsafeMutableRawPointer

    package init() {
        flow = .allocate(capacity: 1)
        let output = UnsafeMutableRawPointer.allocate(byteCount: Self.outputBytes, alignment: 64)
        flow.initialize(to: Flow(output: output, outputCapacity: Self.outputBytes))
        room = .allocate(byteCount: Self.roomBytes, alignment: 64)
        record = .allocate(byteCount: Self.recordBytes, alignment: 64)
    }

    deinit {
        flow.pointee.output.deallocate()
        flow.deallocate()
        room.deallocate()
        record.deallocate()
    }

    /// Encrypted bytes to be sent; valid until the next call on a stream.
    package var output: ByteView { ByteView(base: flow.pointee.output, count: flow.pointee.outputCount) }

    /// The output has been sent, or queued.
    package mutating func clearOutput() {
        flow.pointee.outputCount = 0
        guard flow.pointee.outputCapacity > Self.outputKeptBytes else { return }
        flow.pointee.output.deallocate()
        flow.pointee.output = .allocate(byteCount: Self.outputBytes, alignment: 64)
        flow.pointee.outputCapacity = Self.outputBytes
    }
}

extension TLSExchange.Flow {
    /// The number of bytes moved to `place`.
    mutating func give(_ place: UnsafeMutableRawPointer, _ wanted: Int) -> Int {
        guard let input, inputCount > 0, wanted > 0 else { return 0 }
        let count = min(inputCount, wanted)
        place.copyMemory(from: input, byteCount: count)
        self.input = input + count
        inputCount -= count
        return count
    }

    mutating func take(_ bytes: UnsafeRawPointer, _ count: Int) {
        if outputCapacity - outputCount < count {
            let larger = max(outputCapacity * 2, outputCount + count)
            let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 64)
            moved.copyMemory(from: output, byteCount: outputCount)
            output.deallocate()
            output = moved
            outputCapacity = larger
        }
        (output + outputCount).copyMemory(from: bytes, byteCount: count)
        outputCount += count
    }
}

/// The library's way to our bytes: reads from a flow's input and writes to its output, and never blocks.
struct FlowMethod: @unchecked Sendable {  // made once, never changed
    static let shared = FlowMethod()
    let pointer: OpaquePointer?

    private init() {
        pointer = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "flow")
        BIO_meth_set_read_ex(pointer) { bio, place, wanted, moved in
            BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY)
            moved?.pointee = 0
            guard let flow = FlowMethod.flow(bio), let place else { return 0 }
            let count = flow.pointee.give(place, Int(clamping: wanted))
            guard count > 0 else {
                BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
                return 0
            }
            moved?.pointee = count
            return 1
        }
        BIO_meth_set_write_ex(pointer) { bio, bytes, count, moved in
            BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY)
            moved?.pointee = 0
            guard let flow = FlowMethod.flow(bio), let bytes else { return 0 }
            flow.pointee.take(bytes, count)
            moved?.pointee = count
            return 1
        }
        BIO_meth_set_ctrl(pointer) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    }

    private static func flow(_ bio: OpaquePointer?) -> UnsafeMutablePointer<TLSExchange.Flow>? {
        BIO_get_data(bio)?.assumingMemoryBound(to: TLSExchange.Flow.self)
    }
}
