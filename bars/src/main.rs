mod adapter; mod fleet; mod kubernetes; mod measure; mod realdata; mod report; mod rng; mod stub; mod workload;
fn main(){}
