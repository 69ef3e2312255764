import { memoryBackplane } from '../../../src/store/memory-backplane.ts';
import { backplaneContract } from '../../support/backplane-contract.ts';

backplaneContract('memory', memoryBackplane);
