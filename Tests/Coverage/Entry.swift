import Fuzzers
import Glibc

// The entry of libFuzzer: which fuzzer is chosen by the environment. `bin/fuzz-coverage` builds and runs it.

// Set once, before the first input; libFuzzer has one thread.
nonisolated(unsafe) private let fuzzer: Fuzzer = {
    let name = getenv("FUZZER").map { String(cString: $0) } ?? ""
    guard let fuzzer = FuzzTable.named(name) else {
        print("FUZZER=\(name): no such fuzzer")
        exit(2)
    }
    return fuzzer
}()

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    let bytes = Bytes(UnsafeBufferPointer(start: start, count: count))
    if let finding = fuzzer.run(bytes).finding {
        print("FUZZ FAIL \(fuzzer.name): \(finding)")
        fflush(nil)
        abort()
    }
    return 0
}
