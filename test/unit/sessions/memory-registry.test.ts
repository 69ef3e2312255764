import { memoryRegistry } from '../../../src/store/memory-registry.ts';
import { registryContract } from '../../support/registry-contract.ts';

registryContract('memory', async () => memoryRegistry(Date.now));
